//! What the types of the client half show of themselves.

use std::fmt::Debug;

use http::Request;
use tower::{Layer, Service, ServiceExt};
use tower_idempotency::client::{
    Backoff, BufferLayer, Key, ReadAnswerLayer, RetryLayer, RetryPolicy,
};

use super::script::{Script, Sent, fixed, keyed, ms, status};

#[track_caller]
fn assert_shows(shown: &dyn Debug, parts: &[&str]) {
    let text = format!("{shown:?}");
    for part in parts {
        assert!(text.contains(part), "no {part} in {text:?}");
    }
}

#[test]
fn settings_are_shown() {
    let backoff = Backoff::exponential(ms(100), ms(2_000));
    assert_shows(&backoff, &["100ms", "2s"]);
    let own = Key::from_fn(|| "key".parse().unwrap());
    assert_shows(&own, &["KeyFn"]);
    let builder = RetryPolicy::builder().backoff(backoff).idempotency_key(own);
    assert_shows(&builder, &["RetryPolicyBuilder"]);
    let policy = builder.build().unwrap();
    assert_shows(&policy, &["RetryPolicy", "100ms", "KeyFn"]);
}

#[tokio::test(start_paused = true)]
async fn services_their_futures_and_bodies_say_what_they_are() {
    let script = || Script::new([status(200)]);
    let mut retry = RetryLayer::new(fixed().build().unwrap()).layer(script());
    let ready = ServiceExt::<Request<Sent>>::ready(&mut retry);
    assert_shows(&ready.await.unwrap().call(keyed()), &["RetryFuture"]);
    let mut read = ReadAnswerLayer::new(100).layer(script());
    let ready = ServiceExt::<Request<Sent>>::ready(&mut read);
    let answer = ready.await.unwrap().call(keyed());
    assert_shows(&answer, &["ReadAnswerFuture"]);
    let body = answer.await.unwrap().into_body();
    assert_shows(&body, &["Whole", "6"]);
    let mut buffer = BufferLayer::new(100).layer(retry);
    let ready = ServiceExt::<Request<Sent>>::ready(&mut buffer);
    assert_shows(&ready.await.unwrap().call(keyed()), &["BufferFuture"]);
}
