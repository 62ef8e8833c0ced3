use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderValue, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use tokio::{runtime::Runtime, sync::Notify};
use tower::ServiceExt;
use tower_idempotency::{IdempotencyLayer, MemoryStore, Store};

use super::router;

/// One router, the requests that it is sent, and what it answers.
#[derive(Clone)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    router: Router,
    key: Key,
    session: Option<fn() -> HeaderValue>,
    body: Arc<dyn Fn() -> Body + Send + Sync>,
    status: StatusCode,
}

/// Under which key a request is sent.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    None,
    Fresh,
    Same,
    /// One of so many, in turn.
    OneOf(u64),
}

/// What is compared first of all, the bare router at its head: a charge of 256 bytes, answered
/// with 300.
pub(crate) fn charges() -> [Variant; 5] {
    let kept = || router::charging().layer(layer());
    [
        Variant::charge("bare router", router::charging(), Key::None),
        Variant::charge("wrapped bodies", router::wrapping(), Key::None),
        Variant::charge("no key", kept(), Key::None),
        Variant::charge("first request", kept(), Key::Fresh),
        replaying("replay", layer()),
    ]
}

/// Requests that are refused: while another one runs, and under another one's key.
pub(crate) fn refusals(runtime: &Runtime) -> [Variant; 2] {
    let begun = Arc::new(Notify::new());
    let holding = router::holding(Arc::clone(&begun), Arc::default());
    let held = layer().lease(Duration::from_secs(3600));
    let held = Variant::charge("409 in flight", holding.layer(held), Key::Same);
    let owner = held.router.clone().oneshot(held.request());
    runtime.spawn(owner);
    runtime.block_on(begun.notified());

    let other = Variant::charge("", router::charging().layer(layer()), Key::Same);
    runtime.block_on(other.send(other.request()));
    let mismatch = Variant {
        name: "422 mismatch",
        body: Arc::new(|| router::charge_body(2000)),
        status: StatusCode::UNPROCESSABLE_ENTITY,
        ..other
    };
    let status = StatusCode::CONFLICT;
    [Variant { status, ..held }, mismatch]
}

/// Returns a router that replays one answer.
pub(crate) fn replaying<S: Store>(name: &'static str, layer: IdempotencyLayer<S>) -> Variant {
    Variant::charge(name, router::charging().layer(layer), Key::Same)
}

pub(crate) fn layer() -> IdempotencyLayer<MemoryStore> {
    IdempotencyLayer::new(MemoryStore::new())
}

impl Variant {
    pub(crate) fn charge(name: &'static str, router: Router, key: Key) -> Self {
        Self::new(name, router, key, || router::charge_body(1000))
    }

    pub(crate) fn new(
        name: &'static str,
        router: Router,
        key: Key,
        body: impl Fn() -> Body + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            router: router.with_state(()),
            key,
            session: None,
            body: Arc::new(body),
            status: StatusCode::CREATED,
        }
    }

    /// Sends a cookie with each request, for a layer that asks for one.
    pub(crate) fn with_session(self, session: fn() -> HeaderValue) -> Self {
        let session = Some(session);
        Self { session, ..self }
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let request = Request::post("/charge").header(header::CONTENT_TYPE, "application/json");
        let request = match self.key.header() {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        let request = match self.session {
            Some(session) => request.header(header::COOKIE, session()),
            None => request,
        };
        request.body((self.body)()).expect("a request")
    }

    /// Sends a request, and reads the response to its end.
    pub(crate) async fn send(&self, request: Request<Body>) {
        let response = self.router.clone().oneshot(request).await;
        let response = response.expect("no service of this kind fails");
        assert_eq!(response.status(), self.status, "{}", self.name);
        let body = response.into_body().collect().await;
        assert!(body.is_ok(), "a body in memory");
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }
}

impl Key {
    pub(crate) fn header(self) -> Option<HeaderValue> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = || NEXT.fetch_add(1, Ordering::Relaxed);
        let number = match self {
            Self::None => return None,
            Self::Same => return Some(HeaderValue::from_static("the-same")),
            Self::Fresh => next(),
            Self::OneOf(keys) => next() % keys,
        };
        // As hyper has it: a slice of what was read from the connection.
        let read = Bytes::from(format!("POST /charge {number}"));
        let key = HeaderValue::from_maybe_shared(read.slice("POST /charge ".len()..));
        Some(key.expect("visible ASCII"))
    }
}
