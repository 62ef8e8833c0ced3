//! The misbehaving server met by reqwest, in both versions.

use bytes::Bytes;
use http_body_util::BodyExt;
use tower::{ServiceBuilder, ServiceExt};
use tower_idempotency::client::{ReadAnswerLayer, RetryLayer, SendRetry};

use super::sockets::*;

/// Sends as the tests of all clients want it.
macro_rules! reqwest_client {
    ($name:ident, $reqwest:ident) => {
        async fn $name(
            policy: &RetryPolicy,
            url: &str,
            key: Option<&str>,
        ) -> Result<Got, CallError> {
            let client = $reqwest::Client::builder().no_proxy().build().unwrap();
            let mut request = client.post(url).body("order");
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            let response = request.send_retry(policy).await?;
            Ok(Got {
                status: response.status().as_u16(),
                info: RetryInfo::of(response.extensions()),
                body: response.text().await.unwrap(),
            })
        }
    };
}

#[cfg(feature = "reqwest-012")]
reqwest_client!(send_012, reqwest_012);
#[cfg(feature = "reqwest-012")]
cases!(version_012, send_012);
#[cfg(feature = "reqwest-013")]
reqwest_client!(send_013, reqwest_013);
#[cfg(feature = "reqwest-013")]
cases!(version_013, send_013);

/// Writes the tests of what only reqwest does.
macro_rules! reqwest_cases {
    ($client:ident, $reqwest:ident) => {
        mod $client {
            use super::*;

            fn client() -> $reqwest::Client {
                $reqwest::Client::builder().no_proxy().build().unwrap()
            }

            #[tokio::test]
            async fn an_answer_that_breaks_off_is_asked_for_again() {
                let server = Faulty::start([Fault::HalfBody, OK]);
                let service = ServiceBuilder::new()
                    .layer(RetryLayer::new(policy()))
                    .layer(ReadAnswerLayer::new(100))
                    .map_response(http::Response::<$reqwest::Body>::from)
                    .service(client());
                let request = client()
                    .post(server.url())
                    .header("idempotency-key", "order-1");
                let response = service.oneshot(request.build().unwrap()).await.unwrap();
                assert_eq!(RetryInfo::of(response.extensions()).attempts(), 2);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "answer");
            }

            #[tokio::test]
            async fn a_reset_on_a_kept_connection_is_ambiguous() {
                for (key, attempts) in [("", 1), ("order-1", 2)] {
                    let server = Faulty::start([Fault::AnswerThenReset, CREATED]);
                    let client = client();
                    let order = || client.post(server.url()).body("order");
                    let first = order().send_retry(&policy()).await.unwrap();
                    assert_eq!(first.text().await.unwrap(), "answer");
                    let second = order().header("idempotency-key", key);
                    let second = second.send_retry(&policy()).await;
                    second_call_of(second.map(|got| RetryInfo::of(got.extensions())), attempts);
                    assert_eq!(server.seen().len(), 1 + attempts as usize);
                }
            }

            #[tokio::test]
            async fn a_streamed_body_is_sent_once_and_says_so() {
                let server = Faulty::start([UNAVAILABLE]);
                let body = $reqwest::Body::wrap(Streamed::default());
                let request = client()
                    .post(server.url())
                    .header("idempotency-key", "order-1");
                let response = request.body(body).send_retry(&policy()).await.unwrap();
                assert_eq!(response.status(), 503);
                assert_eq!(RetryInfo::of(response.extensions()).stop(), Stop::Body);
                let seen = server.seen();
                assert_eq!(seen.len(), 1);
                assert!(seen[0].body.contains("order"));
            }

            #[tokio::test]
            async fn a_request_that_cannot_be_sent_is_not_tried_again() {
                let error = client()
                    .post("no url")
                    .send_retry(&policy())
                    .await
                    .unwrap_err();
                assert_eq!(error.failure(), Failure::Permanent);
                assert_eq!(error.info(), None);
                assert_eq!(error.to_string(), "the request could not be made");

                let request = client()
                    .post("ftp://127.0.0.1/")
                    .header("idempotency-key", "1");
                let error = request.send_retry(&policy()).await.unwrap_err();
                assert_eq!(error.info().unwrap().stop(), Stop::Permanent);
                assert_eq!(error.info().unwrap().attempts(), 1);
            }

            #[tokio::test]
            async fn a_timeout_of_the_requests_own_holds_for_each_attempt() {
                let server = Faulty::start([Fault::Hang]);
                let request = client()
                    .post(server.url())
                    .header("idempotency-key", "order-1");
                let policy = fixed().max_attempts(2).build().unwrap();
                let start = Instant::now();
                let error = request
                    .timeout(ms(200))
                    .send_retry(&policy)
                    .await
                    .unwrap_err();
                assert_eq!(error.info().unwrap().attempts(), 2);
                assert!(start.elapsed() >= ms(500));
                let source = error.into_source();
                assert!(source.downcast::<$reqwest::Error>().unwrap().is_timeout());
            }

            #[tokio::test]
            async fn a_client_is_a_service_for_the_policy_by_itself() {
                let server = Faulty::start([UNAVAILABLE, OK]);
                let layer = tower::retry::RetryLayer::new(policy());
                let service = ServiceBuilder::new().layer(layer).service(client());
                let request = client().get(server.url()).build().unwrap();
                let response: $reqwest::Response = service.oneshot(request).await.unwrap();
                assert_eq!(RetryInfo::of(response.extensions()).attempts(), 2);
            }
        }
    };
}

#[cfg(feature = "reqwest-012")]
reqwest_cases!(only_012, reqwest_012);
#[cfg(feature = "reqwest-013")]
reqwest_cases!(only_013, reqwest_013);

/// A body of one frame that reqwest cannot know whole.
struct Streamed(Option<Bytes>);

impl Default for Streamed {
    fn default() -> Self {
        Self(Some(Bytes::from_static(b"order")))
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}
