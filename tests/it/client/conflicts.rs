//! What a 409 that says that the call is under way does.

use std::{iter, time::Duration};

use http::Method;
use tower_idempotency::client::{Backoff, Jitter, Stop};

use super::script::{Client, fixed, info, keyed, ms, post, request, status, with};

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
    assert_eq!(client.delays(), [200, 300, 500, 100, 1000, 200].map(ms));
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
    assert_eq!(client.delays(), [ms(200), ms(300)]);
    let client = Client::new(fixed().wait_on_conflict(), [status(409), status(201)]);
    assert_eq!(client.status(post()).await, 409);
}

/// A server that asks for no pause, or leaves it open, is not asked in a loop.
#[tokio::test(start_paused = true)]
async fn the_pauses_of_waiting_grow_to_a_second_whatever_the_backoff_has_left() {
    for (backoff, jitter, answer) in [
        (
            Backoff::from_iter([ms(100)]),
            Jitter::None,
            with(409, "retry-after", 0),
        ),
        (Backoff::from_iter([ms(100)]), Jitter::Full, status(409)),
        (Backoff::fixed(Duration::ZERO), Jitter::None, status(409)),
        (Backoff::from_iter(iter::empty()), Jitter::None, status(409)),
    ] {
        let policy = fixed().backoff(backoff).jitter(jitter).wait_on_conflict();
        let client = Client::new(policy, [answer]);
        let response = client.call(keyed()).await;
        assert_eq!(info(&response).stop(), Stop::Deadline);
        let delays = client.delays();
        for (delay, least) in delays.iter().zip([100, 200, 400, 800, 1000, 1000].map(ms)) {
            assert!(*delay >= least, "{delays:?}");
        }
        assert!(delays.len() < 65, "{} requests", delays.len());
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_after_the_backoff_has_ended_still_pauses() {
    let policy = fixed().backoff(Backoff::from_iter([ms(100)]));
    let busy = || with(409, "retry-after", 0);
    let client = Client::new(policy, [status(503), busy(), busy(), busy(), status(201)]);
    assert_eq!(client.status(keyed()).await, 201);
    assert_eq!(client.delays(), [100, 100, 200, 400].map(ms));
}

#[tokio::test(start_paused = true)]
async fn the_sixty_seconds_of_waiting_run_from_the_first_conflict() {
    let answers = [
        with(503, "retry-after", 60),
        with(409, "retry-after", 1),
        status(201),
    ];
    assert_eq!(Client::new(fixed(), answers).status(keyed()).await, 201);
}
