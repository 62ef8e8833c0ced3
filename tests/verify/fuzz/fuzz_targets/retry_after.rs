//! Whatever a server asks for with `Retry-After`, a client waits no longer than it was set to.
#![no_main]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use fuzz::block_on;
use http::{HeaderMap, HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use tokio::time::Instant;
use tower_idempotency::client::{Backoff, Jitter, RetryLayer, RetryPolicy};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Busy(HeaderMap);

impl Service<Request<String>> for Busy {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let mut response = Response::new(String::new());
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        *response.headers_mut() = self.0.clone();
        ready(Ok(response))
    }
}

fuzz_target!(|input: (Vec<Vec<u8>>, Option<Vec<u8>>)| {
    const LONGEST: Duration = Duration::from_secs(20);
    const PAUSE: Duration = Duration::from_secs(1);
    let (fields, date) = input;
    let mut headers = HeaderMap::new();
    for field in fields.iter().take(3) {
        let Ok(value) = HeaderValue::from_bytes(field) else {
            return;
        };
        headers.append("retry-after", value);
    }
    if let Some(date) = date {
        let Ok(value) = HeaderValue::from_bytes(&date) else {
            return;
        };
        headers.insert("date", value);
    }
    let policy = RetryPolicy::builder()
        .backoff(Backoff::fixed(PAUSE))
        .jitter(Jitter::None)
        .max_attempts(2)
        .max_retry_after(LONGEST)
        .build()
        .unwrap();
    block_on(async {
        let start = Instant::now();
        let request = Request::put("/").body(String::new()).unwrap();
        let _ = RetryLayer::new(policy)
            .layer(Busy(headers))
            .call(request)
            .await;
        assert!(start.elapsed() <= LONGEST + PAUSE);
    });
});
