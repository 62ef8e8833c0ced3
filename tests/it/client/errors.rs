//! What a call that got no answer tells.

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower::{Service, ServiceExt};
use tower_idempotency::client::{
    CallError, Failure, Key, RetryInfo, RetryLayer, RetryPolicyBuilder, Stop,
};
use tower_layer::Layer;

use super::script::{Answer, Client, Script, Sent, fixed, keyed, ms, post, status, with};

#[tokio::test(start_paused = true)]
async fn the_last_error_is_returned_with_how_the_call_went() {
    let client = Client::new(fixed(), [Answer::Reset]);
    let error = client.call(keyed()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer to the last of 3 attempts (all attempts were made)"
    );
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
    let info = error.info().unwrap();
    assert_eq!(
        (info.attempts(), info.slept(), info.stop()),
        (3, ms(200), Stop::Attempts)
    );
    assert!(!error.is_timeout());
    assert!(error.into_source().is::<io::Error>());
}

/// A script whose service breaks, or is busy for ever, after so many calls.
#[derive(Clone)]
struct Limited {
    script: Script,
    calls: usize,
    then: fn() -> Poll<io::Result<()>>,
}

fn closed() -> Poll<io::Result<()>> {
    Poll::Ready(Err(io::Error::other("closed")))
}

fn busy() -> Poll<io::Result<()>> {
    Poll::Pending
}

impl Service<http::Request<Sent>> for Limited {
    type Response = <Script as Service<http::Request<Sent>>>::Response;
    type Error = io::Error;
    type Future = <Script as Service<http::Request<Sent>>>::Future;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.script.seen().len() < self.calls {
            Poll::Ready(Ok(()))
        } else {
            (self.then)()
        }
    }

    fn call(&mut self, request: http::Request<Sent>) -> Self::Future {
        self.script.call(request)
    }
}

/// The error of a call to a service that has room for so many requests.
async fn limited(
    policy: RetryPolicyBuilder,
    calls: usize,
    then: fn() -> Poll<io::Result<()>>,
    answer: Answer,
) -> CallError {
    let script = Script::new([answer]);
    let service = Limited {
        script,
        calls,
        then,
    };
    let service = RetryLayer::new(policy.build().unwrap()).layer(service);
    service.oneshot(keyed()).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_no_attempt() {
    let error = limited(fixed(), 0, closed, status(200)).await;
    assert_eq!(error.to_string(), "the client is not ready");
    assert_eq!(error.info(), None);
    assert_eq!(error.failure(), Failure::NotProcessed);
    assert_eq!(error.into_source().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_before_a_retry_does_not_make_the_attempt_undone() {
    for (answer, expected) in [
        (status(503), Failure::Ambiguous),
        (Answer::Reset, Failure::Ambiguous),
        (Answer::Refused, Failure::NotProcessed),
    ] {
        let error = limited(fixed(), 1, closed, answer).await;
        assert_eq!(error.failure(), expected);
        let info = error.info().unwrap();
        assert_eq!(
            (info.attempts(), info.slept(), info.stop()),
            (1, ms(100), Stop::NotReady)
        );
        assert_eq!(error.into_source().to_string(), "closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_its_service_no_longer_than_an_attempt_may_take() {
    for (answer, expected) in [
        (Answer::Refused, Failure::NotProcessed),
        (status(503), Failure::Ambiguous),
    ] {
        let policy = fixed().attempt_timeout(ms(3000)).deadline(ms(3000));
        let start = Instant::now();
        let error = limited(policy, 1, busy, answer).await;
        assert_eq!(start.elapsed(), ms(3100));
        assert!(error.is_timeout());
        assert_eq!(error.failure(), expected);
        assert_eq!(error.info().unwrap().stop(), Stop::Deadline);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_tells_the_error_with_its_sources() {
    let told = Arc::new(AtomicU32::new(0));
    let count = told.clone();
    let policy = fixed()
        .on_retry(move |event| {
            assert_eq!(event.failure(), Failure::Ambiguous);
            assert_eq!(
                event.cause().to_string(),
                "no answer to the last of 2 attempts (all attempts were made): connection reset"
            );
            count.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let inner = Client::new(fixed().max_attempts(2), [Answer::Reset]);
    let service = RetryLayer::new(policy).layer(inner.service.clone());
    let error = service.oneshot(keyed()).await.unwrap_err();
    assert_eq!(error.info().unwrap().attempts(), 3);
    assert_eq!(told.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_unprocessed_only_if_none_of_its_attempts_was_begun_on() {
    let busy = || with(409, "retry-after", 1);
    for (first, expected) in [
        (Answer::Refused, Failure::NotProcessed),
        (status(425), Failure::NotProcessed),
        (Answer::Reset, Failure::Ambiguous),
        (status(503), Failure::Ambiguous),
        (busy(), Failure::Ambiguous),
    ] {
        let name = format!("{first:?}");
        let client = Client::new(fixed(), [first, Answer::Refused]);
        let error = client.call(keyed()).await.unwrap_err();
        assert_eq!(error.failure(), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outer_layer_without_keys_does_not_repeat_a_call_that_an_inner_one_left_in_doubt() {
    let inner = fixed().max_attempts(2).idempotency_key(Key::UuidV7);
    let client = Client::new(inner, [Answer::Reset, Answer::Refused]);
    let outer = RetryLayer::new(fixed().build().unwrap());
    let error = outer.layer(client.service.clone()).oneshot(post()).await;
    let error = error.unwrap_err();
    assert_eq!(error.failure(), Failure::Ambiguous);
    assert_eq!(error.info().unwrap().stop(), Stop::Unkeyed);
    assert_eq!(client.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn nor_one_whose_last_attempt_alone_was_not_processed() {
    let inner = fixed().max_attempts(2).idempotency_key(Key::UuidV7);
    let client = Client::new(inner, [Answer::Reset, status(425)]);
    let outer = RetryLayer::new(fixed().build().unwrap());
    let response = outer.layer(client.service.clone()).oneshot(post()).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 425);
    assert_eq!(RetryInfo::of(response.extensions()).stop(), Stop::Unkeyed);
    assert_eq!(client.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_last_attempt_is_told_of_as_no_answer_to_the_last() {
    let client = Client::new(fixed().max_attempts(2), [status(503), Answer::Reset]);
    let error = client.call(keyed()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer to the last of 2 attempts (all attempts were made)"
    );
}
