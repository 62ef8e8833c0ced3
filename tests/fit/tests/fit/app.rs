use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    routing::post,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, MemoryStore};

/// A layer with the defaults.
pub(crate) fn idempotency() -> IdempotencyLayer<MemoryStore> {
    IdempotencyLayer::new(MemoryStore::new())
}

/// A router whose answers to one request are never alike, before any layer.
pub(crate) fn charging() -> Router {
    let runs = Arc::new(AtomicUsize::new(0));
    let charge = async move |context: Option<axum::Extension<IdempotencyContext>>, body: Bytes| {
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        let attempt = context.map_or(0, |context| context.attempt());
        format!("run {run}, attempt {attempt}, {} bytes", body.len())
    };
    Router::new().route("/charge", post(charge))
}

/// A keyed request.
pub(crate) fn keyed(body: impl Into<Body>) -> Request<Body> {
    Request::post("/charge")
        .header("idempotency-key", "order-17")
        .body(body.into())
        .unwrap()
}

pub(crate) fn with(
    mut request: Request<Body>,
    name: header::HeaderName,
    value: &'static str,
) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_replay(&self) -> bool {
        self.headers.contains_key("idempotency-replayed")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// Sends a request twice, and checks that the second answer is the first one's replay.
pub(crate) async fn send_twice(app: &Router, request: impl Fn() -> Request<Body>) -> [Answer; 2] {
    let first = send(app, request()).await;
    let second = send(app, request()).await;
    assert!(!first.is_replay(), "{first:?}");
    assert!(second.is_replay(), "{second:?}");
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    [first, second]
}
