use tower_layer::Layer;

use super::{RetryPolicy, RetryService};

/// Puts retries around any tower HTTP client service.
///
/// Outside in: the call gets its key, `tower`'s retry makes the attempts, each under the attempt
/// timeout, on the inner service. That is polled ready before every attempt.
///
/// The inner service takes `http::Request<B>` where `B` is a [`RepeatBody`](super::RepeatBody)
/// (any `Clone` body; [`BufferLayer`](super::BufferLayer) makes one of any other), or a
/// `reqwest::Request`. The service's error is [`CallError`](super::CallError).
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::ServiceBuilder;
/// use tower_idempotency::client::{Key, RetryLayer, RetryPolicy};
///
/// let retry = RetryPolicy::builder()
///     .idempotency_key(Key::UuidV7) // this server deduplicates
///     .build()?;
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(retry))
///     .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
/// # let _ = client;
/// # Ok::<(), tower_idempotency::client::InvalidPolicy>(())
/// ```
///
/// An axum `Router` is such a service too, so a test needs no socket:
///
/// ```
/// use axum::{Router, routing::get};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_idempotency::client::{RetryLayer, RetryPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router: Router = Router::new().route("/", get(|| async { "hello" }));
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .service(router);
/// let response = client.oneshot(http::Request::get("/").body(String::new())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: RetryPolicy,
}

impl RetryLayer {
    /// Makes a layer; all services it makes share the policy's budget.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = RetryService<S>;

    fn layer(&self, inner: S) -> RetryService<S> {
        RetryService::new(self.policy.clone(), inner)
    }
}
