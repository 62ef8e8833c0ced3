use std::error::Error;

use http::{Extensions, HeaderMap, Method, StatusCode};
use tower::ServiceExt as _;

use super::{
    CallError, RetryPolicy, RetryService,
    message::sealed::{self, Spare},
};

/// Sends a `reqwest::RequestBuilder` with retries, for reqwest 0.12 and 0.13 alike.
///
/// ```
/// # #[cfg(feature = "reqwest-013")] {
/// # use reqwest_013 as reqwest;
/// use tower_idempotency::client::{CallError, Key, RetryInfo, RetryPolicy, SendRetry};
///
/// async fn charge(http: &reqwest::Client, retry: &RetryPolicy) -> Result<(), CallError> {
///     let request = http.post("http://127.0.0.1:3000/charge").body("{}");
///     let response = request.send_retry(retry).await?;
///     let attempts = RetryInfo::of(response.extensions()).attempts();
///     println!("{} after {attempts} attempt(s)", response.status());
///     Ok(())
/// }
///
/// // Made once, beside the client: the budget counts over all calls on it.
/// let retry = RetryPolicy::builder()
///     .idempotency_key(Key::UuidV7) // this server deduplicates
///     .build()?;
/// # let _ = charge(&reqwest::Client::new(), &retry);
/// # }
/// # Ok::<(), tower_idempotency::client::InvalidPolicy>(())
/// ```
///
/// A timeout set on the request or its client holds for each attempt. A streamed body is sent once,
/// and so is a multipart form, which reqwest makes a stream of even where all of its parts are text.
/// reqwest follows redirects by itself and does not tell: a POST that was carried out and answered
/// with a redirect to where nobody listens looks as if it had never been sent. Where that may
/// happen, send a key or set `redirect::Policy::none()`.
///
/// To have the answer's body read inside the attempt, build the stack by hand: a
/// `reqwest::Client` is a tower service.
///
/// ```
/// # #[cfg(feature = "reqwest-013")] {
/// # use reqwest_013 as reqwest;
/// use tower::ServiceBuilder;
/// use tower_idempotency::client::{ReadAnswerLayer, RetryLayer, RetryPolicy};
///
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .layer(ReadAnswerLayer::new(1024 * 1024))
///     .map_response(http::Response::<reqwest::Body>::from)
///     .service(reqwest::Client::new());
/// # async fn call<S: tower::Service<reqwest::Request>>(mut client: S, request: reqwest::Request) {
/// # let _ = client.call(request).await;
/// # }
/// # let _ = call(client, reqwest::Client::new().get("http://localhost").build()?);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SendRetry {
    /// What the request is answered with.
    type Response;

    /// Sends the request as often as the policy allows.
    ///
    /// # Errors
    ///
    /// Returns [`CallError`] when the last attempt got no answer, or the request could not be built;
    /// its source is the `reqwest::Error`. An answer of any status is no error.
    fn send_retry(
        self,
        policy: &RetryPolicy,
    ) -> impl Future<Output = Result<Self::Response, CallError>> + Send;
}

/// Serves one version of reqwest: the types of the two are spelt alike, but are not the same.
macro_rules! serve {
    ($reqwest:ident, $is_hopeless:ident) => {
        impl SendRetry for $reqwest::RequestBuilder {
            type Response = $reqwest::Response;

            async fn send_retry(
                self,
                policy: &RetryPolicy,
            ) -> Result<$reqwest::Response, CallError> {
                let (client, request) = self.build_split();
                let request = request.map_err(CallError::request)?;
                RetryService::new(policy.clone(), client)
                    .oneshot(request)
                    .await
            }
        }

        impl sealed::Request for $reqwest::Request {
            type Spare = Self;

            fn method(&self) -> &Method {
                self.method()
            }

            fn headers(&self) -> &HeaderMap {
                self.headers()
            }

            fn headers_mut(&mut self) -> &mut HeaderMap {
                self.headers_mut()
            }

            fn spare(&self) -> Option<Self> {
                self.try_clone()
            }
        }

        impl Spare<Self> for $reqwest::Request {
            fn try_clone(&self) -> Option<Self> {
                self.try_clone()
            }

            fn into_request(self) -> Self {
                self
            }
        }

        impl sealed::Response for $reqwest::Response {
            fn status(&self) -> StatusCode {
                self.status()
            }

            fn headers(&self) -> &HeaderMap {
                self.headers()
            }

            fn extensions_mut(&mut self) -> &mut Extensions {
                self.extensions_mut()
            }
        }

        /// Whether another attempt would fail in the same way.
        pub(super) fn $is_hopeless(error: &(dyn Error + 'static)) -> bool {
            error
                .downcast_ref::<$reqwest::Error>()
                .is_some_and(|error| error.is_builder() || error.is_redirect())
        }
    };
}

#[cfg(feature = "reqwest-012")]
serve!(reqwest_012, is_hopeless_012);
#[cfg(feature = "reqwest-013")]
serve!(reqwest_013, is_hopeless_013);
