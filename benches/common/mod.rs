//! The routers that are compared, and what is sent to them.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, StatusCode, header},
    routing::post,
};
use http_body_util::{BodyExt, combinators::MapErr};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;
use tower_idempotency::{IdempotencyLayer, MemoryStore, Store};

const REQUEST_BYTES: usize = 256;
const RESPONSE_BYTES: usize = 300;

/// One router and the requests that it is sent.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    router: Router,
    key: Key,
}

enum Key {
    None,
    Fresh,
    Same,
}

/// Returns the variants, the bare router first.
#[allow(dead_code, reason = "each bench uses a part")]
pub(crate) fn variants() -> [Variant; 5] {
    let layer = IdempotencyLayer::new(MemoryStore::new());
    let replaying = IdempotencyLayer::new(MemoryStore::new());
    let wrapping = tower::ServiceBuilder::new()
        .map_request(|request: Request<Body>| request.map(wrap))
        .map_response(|response: Response<Body>| response.map(wrap));
    // With its state, as a server has it: handlers are turned into services once, not per request.
    let variant = |name, router: Router, key| Variant {
        name,
        router: router.with_state(()),
        key,
    };
    [
        variant("bare router", router(), Key::None),
        variant("wrapped bodies", router().layer(wrapping), Key::None),
        variant("no key", router().layer(layer.clone()), Key::None),
        variant("first request", router().layer(layer), Key::Fresh),
        variant("replay", router().layer(replaying), Key::Same),
    ]
}

/// Returns a router that replays one answer.
#[allow(dead_code, reason = "each bench uses a part")]
pub(crate) fn replaying<S: Store>(name: &'static str, layer: IdempotencyLayer<S>) -> Variant {
    Variant {
        name,
        router: router().layer(layer),
        key: Key::Same,
    }
}

/// What a layer that does nothing else costs with axum, which boxes every body that is not its own.
fn wrap(body: Body) -> MapErr<Body, fn(axum::Error) -> axum::Error> {
    body.map_err(std::convert::identity)
}

/// One handler, as small as a real one gets: JSON of 256 bytes in, JSON of 300 bytes out.
fn router() -> Router {
    async fn charge(Json(charge): Json<Charge>) -> (StatusCode, Json<Receipt>) {
        let receipt = Receipt {
            id: 17,
            amount: charge.amount,
            currency: charge.currency,
            note: "x".repeat(RESPONSE_BYTES - 50),
        };
        (StatusCode::CREATED, Json(receipt))
    }
    Router::new().route("/charge", post(charge))
}

#[derive(Deserialize)]
struct Charge {
    amount: u64,
    currency: String,
    #[allow(dead_code, reason = "parsing it is what a handler pays for")]
    note: String,
}

#[derive(Serialize)]
struct Receipt {
    id: u64,
    amount: u64,
    currency: String,
    note: String,
}

impl Variant {
    pub(crate) fn request(&self) -> Request<Body> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut request = Request::post("/charge").header(header::CONTENT_TYPE, "application/json");
        match self.key {
            Key::None => {}
            Key::Fresh => {
                // As hyper has it: a slice of what was read from the connection.
                let read = format!("POST /charge {}", NEXT.fetch_add(1, Ordering::Relaxed));
                let key = Bytes::from(read).slice("POST /charge ".len()..);
                let key = HeaderValue::from_maybe_shared(key).expect("visible ASCII");
                request = request.header("Idempotency-Key", key);
            }
            Key::Same => request = request.header("Idempotency-Key", "the-same"),
        }
        let note = "x".repeat(REQUEST_BYTES - 42);
        let body = format!(r#"{{"amount":1000,"currency":"EUR","note":"{note}"}}"#);
        request.body(Body::from(body)).expect("a request")
    }

    pub(crate) async fn send(&self, request: Request<Body>) {
        let response = self.router.clone().oneshot(request).await;
        let response = response.expect("no service of this kind fails");
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body in memory");
        assert_eq!(body.to_bytes().len(), RESPONSE_BYTES);
    }
}
