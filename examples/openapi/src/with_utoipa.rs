use axum::{Json, Router, routing::get};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Charge, Receipt, charged, fragment::describe_idempotency, idempotency};

#[derive(OpenApi)]
#[openapi(info(title = "Payments", version = "1"))]
struct Payments;

pub(crate) fn app() -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Payments::openapi())
        .routes(routes!(charge))
        .routes(routes!(health))
        .split_for_parts();
    let document = serde_json::to_value(document).expect("a document is JSON");
    let document = Json(describe_idempotency(document));
    router
        .layer(idempotency())
        .route("/openapi.json", get(async || document))
}

/// Charges a customer.
#[utoipa::path(post, path = "/charge", responses((status = 200, body = Receipt)))]
async fn charge(Json(charge): Json<Charge>) -> Json<Receipt> {
    charged(&charge)
}

/// Says that the service is there.
#[utoipa::path(get, path = "/health", responses((status = 200, body = String)))]
async fn health() -> String {
    "ok".to_owned()
}
