//! How answers and errors are classified.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::{Method, Response};
use tower::{ServiceExt, service_fn};
use tower_idempotency::client::{Backoff, Failure, RetryLayer, Stop};
use tower_layer::Layer;

use super::script::{Client, fixed, info, keyed, ms, post, request, status, with};

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

#[tokio::test(start_paused = true)]
async fn a_conflict_under_a_key_with_retry_after_is_waited_for_without_using_up_attempts() {
    let busy = || with(409, "retry-after", 1);
    let client = Client::new(
        fixed().max_attempts(2),
        [busy(), busy(), busy(), status(503), busy(), status(201)],
    );
    let response = client.call(keyed()).await;
    assert_eq!(response.as_ref().unwrap().status(), 201);
    assert_eq!(info(&response).attempts(), 6);
    assert_eq!(
        client.delays(),
        [ms(1100), ms(1100), ms(1100), ms(100), ms(1100)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_uses_up_no_step_of_the_backoff() {
    let busy = || with(409, "retry-after", 0);
    let backoff = Backoff::from_iter([ms(100), ms(200)]);
    let client = Client::new(
        fixed().backoff(backoff).max_attempts(9),
        [
            busy(),
            busy(),
            busy(),
            status(503),
            busy(),
            status(503),
            status(201),
        ],
    );
    assert_eq!(client.status(keyed()).await, 201);
    assert_eq!(client.delays(), [100, 100, 100, 100, 200, 200].map(ms));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_waited_for_at_most_sixty_seconds_or_the_deadline() {
    let client = Client::new(fixed(), [with(409, "retry-after", 1)]);
    let response = client.call(keyed()).await;
    assert_eq!(info(&response).stop(), Stop::Deadline);
    assert_eq!(info(&response).slept(), ms(1100 * 54));
    assert_eq!(response.unwrap().status(), 409);

    let client = Client::new(fixed().deadline(ms(5000)), [with(409, "retry-after", 1)]);
    let response = client.call(keyed()).await;
    assert_eq!(info(&response).slept(), ms(4400));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_of_another_kind_is_the_callers() {
    for (request, answer) in [
        (post(), with(409, "retry-after", 1)),
        (request(Method::PUT), with(409, "retry-after", 1)),
        (keyed(), status(409)),
        (keyed(), with(409, "retry-after", "soon")),
    ] {
        let client = Client::new(fixed(), [answer, status(201)]);
        let response = client.call(request).await;
        assert_eq!(info(&response).stop(), Stop::Permanent);
        assert_eq!(response.unwrap().status(), 409);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_conflict_is_waited_for_on_request() {
    let client = Client::new(
        fixed().wait_on_conflict(),
        [status(409), status(409), status(201)],
    );
    assert_eq!(client.status(keyed()).await, 201);
    assert_eq!(client.delays(), [ms(100), ms(100)]);
    let client = Client::new(fixed().wait_on_conflict(), [status(409), status(201)]);
    assert_eq!(client.status(post()).await, 409);
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
