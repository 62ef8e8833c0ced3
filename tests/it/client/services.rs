//! Other services than HTTP clients behind the layer: a router, and tonic's channel.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Router, routing::post as posted};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tonic::transport::Endpoint;
use tower::{ServiceBuilder, ServiceExt};
use tower_idempotency::client::{BufferLayer, BufferedBody, Failure, RetryInfo, RetryLayer, Stop};

use super::{
    faulty::deaf_address,
    script::{fixed, keyed},
};

#[tokio::test(start_paused = true)]
async fn a_router_is_called_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let charge = move |body: String| async move {
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            _ => (StatusCode::CREATED, body),
        }
    };
    let router: Router = Router::new().route("/charges", posted(charge));
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .service(router);
    let response = client.oneshot(keyed()).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "order");
}

#[tokio::test]
async fn a_channel_that_finds_no_server_asks_again_without_a_key() {
    let endpoint = Endpoint::from_shared(format!("http://{}", deaf_address())).unwrap();
    let client = ServiceBuilder::new()
        .layer(BufferLayer::new(1024))
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .map_request(|request: Request<BufferedBody<tonic::body::Body>>| {
            request.map(tonic::body::Body::new)
        })
        .service(endpoint.connect_lazy());
    let request = Request::post("/shop.Payments/Charge").body(tonic::body::Body::empty());
    let error = client.oneshot(request.unwrap()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::NotProcessed);
    let info = error.info().unwrap();
    assert_eq!((info.attempts(), info.stop()), (3, Stop::Attempts));
}
