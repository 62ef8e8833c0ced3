//! A service on which everything happens that can be seen, and its clients.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::post,
};
use tokio::time::{interval, sleep};
use tower::ServiceExt;
use tower_idempotency::{IdempotencyLayer, MemoryStore, StoreFailure};

use crate::moody::Moody;

/// `alerts.yml` has this, and the next one.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_IN_FLIGHT: usize = 100;
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// How often the clients send something.
const TICK: Duration = Duration::from_millis(50);

/// What a client sends.
struct Send {
    path: &'static str,
    customer: &'static str,
    key: String,
    body: &'static str,
}

/// Starts the clients of a service, and returns it. Its store fails once in every period.
pub(crate) fn begin(period: Duration) -> Router {
    let memory = MemoryStore::builder()
        .max_bytes(MAX_BYTES)
        .keep_at_least(Duration::from_secs(2));
    let store = Moody::new(memory.build(), period);
    let layer = || {
        IdempotencyLayer::new(store.clone())
            .lease(Duration::from_secs(1))
            .wait(Duration::from_secs(2))
            .max_in_flight(MAX_IN_FLIGHT)
            .max_response_bytes(MAX_RESPONSE_BYTES)
    };
    let charges = Router::new().route("/charge", post(charge)).layer(layer());
    // A like that counts twice harms nobody.
    let careless = layer().store_failure(StoreFailure::FailOpen);
    let likes = Router::new()
        .route("/like", post(async || "liked"))
        .layer(careless);
    let app = charges.merge(likes);
    tokio::spawn(send_forever(app.clone(), period));
    app
}

async fn charge(body: String) -> (StatusCode, String) {
    let (pause, status, answer) = match body.as_str() {
        "slow" => (1500, StatusCode::CREATED, "charged".to_owned()),
        "pause" => (300, StatusCode::CREATED, "charged".to_owned()),
        "bug" => (0, StatusCode::INTERNAL_SERVER_ERROR, "a bug".to_owned()),
        "report" => (0, StatusCode::CREATED, "x".repeat(MAX_RESPONSE_BYTES - 1)),
        "export" => (0, StatusCode::CREATED, "x".repeat(MAX_RESPONSE_BYTES + 1)),
        _ => (0, StatusCode::CREATED, "charged".to_owned()),
    };
    sleep(Duration::from_millis(pause)).await;
    (status, answer)
}

async fn send_forever(app: Router, period: Duration) {
    let a_period = period.as_millis() / TICK.as_millis();
    let mut ticks = interval(TICK);
    for number in 0_u64.. {
        ticks.tick().await;
        let mut sends = at(number);
        if u128::from(number).is_multiple_of(a_period) {
            sends.extend((0..130).map(|one| charging(format!("crowd-{number}-{one}"), "slow")));
        }
        for send in sends {
            let request = Request::post(send.path)
                .header("authorization", send.customer)
                .header("idempotency-key", send.key)
                .body(Body::from(send.body))
                .expect("a request");
            tokio::spawn(app.clone().oneshot(request));
        }
    }
}

/// Returns what is sent at a tick: orders, most of them twice, and what clients get wrong.
fn at(number: u64) -> Vec<Send> {
    let mut sends = vec![charging(order(number), "order")];
    if let Some(earlier) = number.checked_sub(5) {
        sends.push(charging(order(earlier), "order"));
    }
    if number.is_multiple_of(5) {
        sends.push(charging(format!("report-{number}"), "report"));
        let path = "/like";
        sends.push(Send {
            path,
            ..charging(order(number), "")
        });
    }
    match number % 20 {
        1 | 11 => sends.push(charging(order(number - 1), "another order")),
        2 | 12 => sends.push(Send {
            customer: "another",
            ..charging(order(number - 1), "order")
        }),
        3 => sends.push(charging(format!("bug-{number}"), "bug")),
        5 => sends.push(charging(format!("bug-{}", number - 2), "bug")),
        7 => sends.extend((0..3).map(|_| charging(format!("pause-{number}"), "pause"))),
        9 => sends.push(charging(format!("export-{number}"), "export")),
        _ => {}
    }
    sends
}

fn charging(key: String, body: &'static str) -> Send {
    Send {
        path: "/charge",
        customer: "one",
        key,
        body,
    }
}

fn order(number: u64) -> String {
    format!("order-{number}")
}
