//! Retries for HTTP clients: one key for all attempts of a call, as often as it is safe.
//!
//! A client that lost an answer cannot know whether its request was carried out. It may ask again
//! where that does no harm: where the method is idempotent, where the server certainly never began,
//! or where the request carries an idempotency key and the server deduplicates. A [`RetryPolicy`]
//! decides which of these it is, how long to pause, and when to give up.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! # use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//!
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_idempotency::client::{Backoff, Key, RetryInfo, RetryLayer, RetryPolicy};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let retry = RetryPolicy::builder()
//!     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)))
//!     .max_attempts(4)
//!     .attempt_timeout(Duration::from_secs(5))
//!     .deadline(Duration::from_secs(30))
//!     .idempotency_key(Key::UuidV7) // this server deduplicates
//!     .build()?;
//!
//! // Any HTTP client that is a tower service; this one is busy twice.
//! let calls = AtomicU32::new(0);
//! let calls = &calls;
//! let client = service_fn(|request: Request<String>| async move {
//!     assert!(request.headers().contains_key("Idempotency-Key"));
//!     let mut response = Response::new(());
//!     if calls.fetch_add(1, Relaxed) < 2 {
//!         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!     }
//!     Ok::<_, Infallible>(response)
//! });
//! let client = ServiceBuilder::new().layer(RetryLayer::new(retry)).service(client);
//!
//! let response = client.oneshot(Request::post("/charges").body("{}".to_owned())?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(RetryInfo::of(response.extensions()).attempts(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! - With reqwest 0.12 or 0.13 (features `reqwest-012`, `reqwest-013`): `request.send_retry(&retry)`.
//! - In a stack that has tower's own retry layer: the [`RetryPolicy`] is a
//!   [`tower::retry::Policy`].
//! - For request bodies that are not `Clone`: [`BufferLayer`]. For answers that may break off in the
//!   middle: [`ReadAnswerLayer`].
//!
//! [`Failure`] says what is retried, [`Stop`] why a call ends.

mod attempt;
mod backoff;
mod budget;
mod buffer;
mod buffered_body;
mod builder;
mod delays;
mod error;
mod event;
mod failure;
mod head;
mod info;
mod jitter;
mod key_source;
mod layer;
mod message;
mod outcome;
mod policy;
mod read_answer;
mod repeat_body;
#[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
mod reqwest;
mod retry_after;
mod service;
mod session;
mod settings;

pub use self::{
    backoff::Backoff,
    budget::Budget,
    buffer::{BufferFuture, BufferLayer, BufferService},
    buffered_body::BufferedBody,
    builder::{InvalidPolicy, RetryPolicyBuilder},
    error::CallError,
    event::{Cause, RetryEvent},
    failure::Failure,
    info::{RetryInfo, Stop},
    jitter::Jitter,
    key_source::{Key, KeyFn},
    layer::RetryLayer,
    message::{RetryRequest, RetryResponse},
    policy::RetryPolicy,
    read_answer::{ReadAnswer, ReadAnswerFuture, ReadAnswerLayer},
    repeat_body::RepeatBody,
    service::{RetryFuture, RetryService},
};

#[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
pub use self::reqwest::SendRetry;

#[cfg(all(doctest, feature = "reqwest-013"))]
#[doc = include_str!("../docs/retries.md")]
mod guide {}
