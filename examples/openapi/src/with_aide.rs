use aide::{
    axum::{
        ApiRouter,
        routing::{get, post},
    },
    openapi::{Info, OpenApi},
};
use axum::{Json, Router};

use crate::{Charge, Receipt, charged, fragment::describe_idempotency, idempotency};

pub(crate) fn app() -> Router {
    let mut document = OpenApi {
        info: Info {
            title: "Payments".to_owned(),
            version: "1".to_owned(),
            ..Info::default()
        },
        ..OpenApi::default()
    };
    let router = ApiRouter::new()
        .api_route("/charge", post(charge))
        .api_route("/health", get(health))
        .finish_api(&mut document);
    let document = serde_json::to_value(document).expect("a document is JSON");
    let document = Json(describe_idempotency(document));
    router
        .layer(idempotency())
        .route("/openapi.json", axum::routing::get(async || document))
}

/// Charges a customer.
async fn charge(Json(charge): Json<Charge>) -> Json<Receipt> {
    charged(&charge)
}

/// Says that the service is there.
async fn health() -> String {
    "ok".to_owned()
}
