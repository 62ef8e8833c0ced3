//! What a request pays for the layer, beside the same router without it.
//!
//! cargo bench --bench layer
//!
//! All variants run in one process, interleaved round by round; each figure is the median of the
//! ratios to the bare router of the same round. Only ratios can be compared between machines.
//! Allocations are those of one request, counted once everything is warm.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
    routing::post,
};
use http_body_util::{BodyExt, combinators::MapErr};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tower_idempotency::{IdempotencyLayer, MemoryStore};

const ROUNDS: usize = 300;
const REQUESTS_A_ROUND: usize = 200;
const REQUEST_BYTES: usize = 256;
const RESPONSE_BYTES: usize = 300;

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let bare = router();
    let keyed = router().layer(IdempotencyLayer::new(MemoryStore::new()));
    let wrapping = tower::ServiceBuilder::new()
        .map_request(|request: Request<Body>| request.map(wrap))
        .map_response(|response: Response<Body>| response.map(wrap));
    let variants = [
        Variant {
            name: "bare router",
            router: bare,
            key: Key::None,
        },
        Variant {
            name: "wrapped bodies",
            router: router().layer(wrapping),
            key: Key::None,
        },
        Variant {
            name: "no key",
            router: keyed.clone(),
            key: Key::None,
        },
        Variant {
            name: "first request",
            router: keyed.clone(),
            key: Key::Fresh,
        },
        Variant {
            name: "replay",
            router: keyed.clone(),
            key: Key::Same,
        },
    ];

    // For profilers: `cargo bench --bench layer -- replay` runs that variant and the bare router.
    let only = std::env::args()
        .nth(1)
        .filter(|argument| argument != "--bench");
    let variants = variants.into_iter();
    let variants: Vec<_> = variants
        .filter(|variant| only.as_ref().is_none_or(|only| variant.name == only))
        .collect();

    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter().zip(&mut times) {
            times.push(variant.round(&runtime).as_secs_f64());
        }
    }

    println!("{:<16} {:>8} {:>8}", "", "x bare", "ns");
    for (variant, time) in variants.iter().zip(&times) {
        let ratios = time.iter().zip(&times[0]).map(|(own, bare)| own / bare);
        let nanos = time.iter().map(|time| time * 1e9 / REQUESTS_A_ROUND as f64);
        println!(
            "{:<16} {:>8.2} {:>8.0}",
            variant.name,
            median(ratios),
            median(nanos),
        );
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

struct Variant {
    name: &'static str,
    router: Router,
    key: Key,
}

#[derive(PartialEq)]
enum Key {
    None,
    Fresh,
    Same,
}

impl Variant {
    fn round(&self, runtime: &Runtime) -> Duration {
        let requests: Vec<_> = (0..REQUESTS_A_ROUND).map(|_| self.request()).collect();
        runtime.block_on(async {
            let start = Instant::now();
            for request in requests {
                self.send(request).await;
            }
            start.elapsed()
        })
    }

    async fn send(&self, request: Request<Body>) {
        let response: Response<Body> = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("no service of this kind fails");
        let body = response.into_body().collect().await;
        assert_eq!(
            body.expect("a body in memory").to_bytes().len(),
            RESPONSE_BYTES
        );
    }

    fn request(&self) -> Request<Body> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut request = Request::post("/charge").header(header::CONTENT_TYPE, "application/json");
        match self.key {
            Key::None => {}
            Key::Fresh => {
                let key = format!("bench-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                request = request.header("Idempotency-Key", key);
            }
            Key::Same => request = request.header("Idempotency-Key", "the-same"),
        }
        let note = "x".repeat(REQUEST_BYTES - 42);
        let body = format!(r#"{{"amount":1000,"currency":"EUR","note":"{note}"}}"#);
        request.body(Body::from(body)).expect("a request")
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
