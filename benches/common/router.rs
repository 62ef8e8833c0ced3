//! The routers that are compared, as a server has them: with their state, so that handlers are
//! turned into services once and not per request.

use std::{convert::identity, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode},
    routing::post,
};
use http_body_util::{BodyExt, combinators::MapErr};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower::ServiceBuilder;

pub(crate) const RESPONSE_BYTES: usize = 300;

/// One handler, as small as a real one gets: JSON of 256 bytes in, JSON of 300 bytes out.
pub(crate) fn charging() -> Router {
    Router::new().route("/charge", post(charge))
}

/// One that looks at no byte of what it gets, so that bodies of all lengths cost it the same.
pub(crate) fn receiving() -> Router {
    async fn receive(_: Bytes) -> (StatusCode, &'static [u8]) {
        (StatusCode::CREATED, &[b'x'; RESPONSE_BYTES])
    }
    Router::new().route("/charge", post(receive))
}

/// One whose handler says that it has begun, and answers once it may.
pub(crate) fn holding(begun: Arc<Notify>, may_end: Arc<Notify>) -> Router {
    let hold = async move |json: Json<Charge>| {
        begun.notify_one();
        may_end.notified().await;
        charge(json).await
    };
    Router::new().route("/charge", post(hold))
}

/// With a layer that does nothing but wrap both bodies: axum boxes all that are not its own.
pub(crate) fn wrapping() -> Router {
    fn wrap(body: Body) -> MapErr<Body, fn(axum::Error) -> axum::Error> {
        body.map_err(identity)
    }
    let wrapping = ServiceBuilder::new()
        .map_request(|request: Request<Body>| request.map(wrap))
        .map_response(|response: Response<Body>| response.map(wrap));
    charging().layer(wrapping)
}

async fn charge(Json(charge): Json<Charge>) -> (StatusCode, Json<Receipt>) {
    let receipt = Receipt {
        id: 17,
        amount: charge.amount,
        currency: charge.currency,
        note: "x".repeat(RESPONSE_BYTES - 50),
    };
    (StatusCode::CREATED, Json(receipt))
}

#[derive(Deserialize)]
pub(crate) struct Charge {
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

/// The charge that is sent, of 256 bytes.
pub(crate) fn charge_body(amount: u16) -> Body {
    let note = "x".repeat(256 - 42);
    Body::from(format!(
        r#"{{"amount":{amount:4},"currency":"EUR","note":"{note}"}}"#
    ))
}
