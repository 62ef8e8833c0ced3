//! What ends a call that takes too long.

use tokio::time::Instant;
use tower_idempotency::client::{Backoff, Failure, Key, Stop};

use super::script::{Answer, Client, fixed, info, keyed, ms, post, status, with};

#[tokio::test(start_paused = true)]
async fn a_call_that_could_only_sleep_past_its_deadline_returns_at_once() {
    let builder = fixed()
        .backoff(Backoff::fixed(ms(400)))
        .deadline(ms(1000))
        .max_attempts(9);
    let client = Client::new(builder, [status(503)]);
    let start = Instant::now();
    let response = client.call(keyed()).await;
    assert_eq!(start.elapsed(), ms(800));
    assert_eq!(info(&response).stop(), Stop::Deadline);
    assert_eq!(response.unwrap().status(), 503);
    assert_eq!(client.script.times(), [ms(0), ms(400), ms(800)]);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_attempts_take_counts_against_the_deadline() {
    let builder = fixed()
        .attempt_timeout(ms(3000))
        .deadline(ms(5000))
        .max_attempts(9);
    let client = Client::new(builder, [Answer::Hang]);
    let start = Instant::now();
    let response = client.call(keyed()).await;
    assert_eq!(info(&response).stop(), Stop::Deadline);
    assert_eq!(client.requests(), 2);
    assert_eq!(start.elapsed(), ms(6100));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_asks_for_is_not_slept_past_the_deadline() {
    let client = Client::new(fixed().deadline(ms(5000)), [with(503, "retry-after", 5)]);
    let start = Instant::now();
    let response = client.call(keyed()).await;
    assert_eq!(
        (info(&response).stop(), start.elapsed()),
        (Stop::Deadline, ms(0))
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_tried_again_under_its_key() {
    let builder = fixed()
        .attempt_timeout(ms(5000))
        .idempotency_key(Key::UuidV7);
    let client = Client::new(builder, [Answer::Hang, status(201)]);
    assert_eq!(client.status(post()).await, 201);
    let seen = client.script.seen();
    assert_eq!(client.script.times(), [ms(0), ms(5100)]);
    assert!(seen[0].key().is_some());
    assert_eq!(seen[0].key(), seen[1].key());
}

#[tokio::test(start_paused = true)]
async fn a_post_without_a_key_that_hangs_is_an_error_after_one_attempt() {
    let client = Client::new(
        fixed().attempt_timeout(ms(5000)),
        [Answer::Hang, status(201)],
    );
    let start = Instant::now();
    let error = client.call(post()).await.unwrap_err();
    assert_eq!(start.elapsed(), ms(5000));
    assert!(error.is_timeout());
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the attempt timed out");
    assert_eq!(error.failure(), Failure::Ambiguous);
    assert_eq!(error.info().unwrap().stop(), Stop::Unkeyed);
    assert_eq!(client.requests(), 1);
}

#[test]
fn a_call_without_a_timeout_arms_no_timer() {
    // A runtime without a timer panics when one is armed.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Client::new(fixed().deadline(ms(5000)), [status(200)]);
        assert_eq!(client.status(keyed()).await, 200);
    });
}
