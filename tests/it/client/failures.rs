//! How answers and errors are classified.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::Response;
use tower::{ServiceExt, service_fn};
use tower_idempotency::client::{Failure, RetryLayer, Stop};
use tower_layer::Layer;

use super::script::{Client, fixed, info, keyed, ms, post, status, with};

#[tokio::test(start_paused = true)]
async fn each_status_has_its_class() {
    for (code, unkeyed, keyed_) in [
        (200, 1, 1),
        (201, 1, 1),
        (302, 1, 1),
        (400, 1, 1),
        (401, 1, 1),
        (403, 1, 1),
        (404, 1, 1),
        (408, 1, 2),
        (409, 1, 1),
        (422, 1, 1),
        (425, 2, 2),
        (429, 1, 2),
        (500, 1, 2),
        (501, 1, 1),
        (502, 1, 2),
        (503, 1, 2),
        (504, 1, 2),
        (505, 1, 1),
        (507, 1, 1),
    ] {
        for (request, expected) in [(post(), unkeyed), (keyed(), keyed_)] {
            let client = Client::new(fixed(), [status(code), status(204)]);
            client.call(request).await.unwrap();
            assert_eq!(client.requests(), expected, "{code}");
        }
    }
}

fn grpc(status: u16, pushback: Option<&str>) -> super::script::Answer {
    let mut headers = vec![
        ("content-type", "application/grpc+proto".to_owned()),
        ("grpc-status", status.to_string()),
    ];
    headers.extend(pushback.map(|pushback| ("grpc-retry-pushback-ms", pushback.to_owned())));
    super::script::Answer::Status(200, headers)
}

#[tokio::test(start_paused = true)]
async fn grpc_unavailable_is_ambiguous() {
    for (request, code, attempts) in [
        (keyed(), 14, 2),
        (post(), 14, 1),
        (keyed(), 13, 1),
        (keyed(), 0, 1),
    ] {
        let client = Client::new(fixed(), [grpc(code, None), grpc(0, None)]);
        client.call(request).await.unwrap();
        assert_eq!(client.requests(), attempts, "{code}");
    }
    let client = Client::new(fixed(), [with(200, "grpc-status", 14), status(200)]);
    client.call(keyed()).await.unwrap();
    assert_eq!(client.requests(), 1, "only a gRPC answer has a gRPC status");
}

#[tokio::test(start_paused = true)]
async fn grpc_pushback_is_a_floor_and_a_negative_one_stops() {
    let client = Client::new(fixed(), [grpc(14, Some("700")), grpc(0, None)]);
    client.call(keyed()).await.unwrap();
    assert_eq!(client.delays(), [ms(800)]);
    for refusal in ["-1", "soon", "", "60001"] {
        let client = Client::new(fixed(), [grpc(14, Some(refusal)), grpc(0, None)]);
        let response = client.call(keyed()).await;
        assert_eq!(info(&response).stop(), Stop::Server, "{refusal}");
        assert_eq!(client.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_known_through_all_that_wraps_it() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(class(refused()).await, Failure::NotProcessed);
    assert_eq!(
        class(io::Error::other(refused())).await,
        Failure::NotProcessed
    );
    assert_eq!(
        class(io::Error::other(h2::Error::from(
            h2::Reason::REFUSED_STREAM
        )))
        .await,
        Failure::Ambiguous
    );
    assert_eq!(
        class(io::Error::from(io::ErrorKind::BrokenPipe)).await,
        Failure::Ambiguous
    );
    assert_eq!(class("never heard of").await, Failure::Ambiguous);
}

/// The class of an error that a service of boxed errors fails with.
async fn class(error: impl Into<tower::BoxError>) -> Failure {
    let error = Arc::new(Mutex::new(Some(error.into())));
    let service = service_fn(move |_: http::Request<()>| {
        let error = error.lock().unwrap().take().expect("one attempt");
        async { Err::<Response<()>, _>(error) }
    });
    let policy = fixed().max_attempts(1).build().unwrap();
    let service = RetryLayer::new(policy).layer(service);
    let result = service.oneshot(http::Request::new(())).await;
    result.unwrap_err().failure()
}
