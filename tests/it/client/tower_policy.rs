//! The policy by itself, in a stack of tower's own layers.

use std::io;

use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer};
use tower_idempotency::client::{CallError, Failure, Key, RetryInfo, Stop};

use super::script::{Answer, Script, fixed, keyed, ms, post, status, with};

#[tokio::test(start_paused = true)]
async fn the_policy_serves_towers_own_retry_layer() {
    let script = Script::new([
        status(503),
        Answer::Reset,
        with(429, "retry-after", 1),
        status(200),
    ]);
    let policy = fixed().max_attempts(4).build().unwrap();
    let service = RetryLayer::new(policy);
    let service = ServiceBuilder::new().layer(service).service(script.clone());
    let response = service.oneshot(keyed()).await.unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 4);
    assert_eq!(script.times(), [ms(0), ms(100), ms(200), ms(1300)]);
    assert!(script.seen().iter().all(|attempt| attempt.body == "order"));
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_error_is_returned() {
    let script = Script::new([Answer::Reset]);
    let policy = fixed().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .service(script.clone());
    let error: io::Error = service.oneshot(keyed()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(script.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_error_tells_of_all_attempts() {
    let script = Script::new([Answer::Reset, Answer::Refused]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .map_err(CallError::from)
        .map_err(tower::BoxError::from)
        .service(script);
    let error: CallError = service.oneshot(keyed()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Ambiguous);
    let info = error.info().unwrap();
    assert_eq!((info.attempts(), info.stop()), (3, Stop::Attempts));
}

#[tokio::test(start_paused = true)]
async fn each_call_starts_anew() {
    let script = Script::new([status(503)]);
    let policy = fixed().deadline(ms(5000)).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .service(script.clone());
    for _ in 0..2 {
        let response = service.clone().oneshot(keyed()).await.unwrap();
        assert_eq!(RetryInfo::of(response.extensions()).stop(), Stop::Attempts);
        tokio::time::sleep(ms(60_000)).await;
    }
    assert_eq!(script.seen().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn boxed_errors_are_served_behind_a_map() {
    let script = Script::new([Answer::Refused, status(200)]);
    let policy = fixed().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .map_err(CallError::from)
        .map_err(tower::BoxError::from)
        .service(script.clone());
    let response: Response<_> = service.oneshot(post()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_set_by_hand() {
    let policy = fixed().idempotency_key(Key::UuidV7).build().unwrap();
    let script = Script::new([status(503), status(201)]);
    let setter = policy.clone();
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<_>| {
            setter.set_key(&mut request);
            request
        })
        .layer(RetryLayer::new(policy))
        .service(script.clone());
    assert_eq!(service.oneshot(post()).await.unwrap().status(), 201);
    let seen = script.seen();
    assert!(seen[0].key().is_some());
    assert_eq!(seen[0].key(), seen[1].key());
}

#[tokio::test(start_paused = true)]
async fn what_an_inner_layer_told_of_its_attempts_is_not_told_as_the_policys() {
    let script = Script::new([status(503), status(200)]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .layer(tower_idempotency::client::RetryLayer::new(
            fixed().build().unwrap(),
        ))
        .service(script.clone());
    let response = service.oneshot(keyed()).await.unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 1);
    assert_eq!(script.seen().len(), 2);
}
