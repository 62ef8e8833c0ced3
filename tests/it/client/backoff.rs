//! How long the pauses are.

use std::{collections::HashSet, iter, time::Duration};

use proptest::{prelude::*, test_runner::TestCaseError};
use tower_idempotency::client::{Backoff, Jitter, RetryPolicy, RetryPolicyBuilder, Stop};

use super::script::{Client, info, keyed, ms, status};

fn exponential(jitter: Jitter) -> RetryPolicyBuilder {
    RetryPolicy::builder()
        .backoff(Backoff::exponential(ms(100), ms(1000)))
        .jitter(jitter)
}

/// The pauses of one call that fails to its end.
async fn delays(client: &Client) -> Vec<Duration> {
    client.call(keyed()).await.unwrap();
    client.delays()
}

#[tokio::test(start_paused = true)]
async fn an_exponential_backoff_doubles_up_to_its_cap() {
    let six = iter::repeat_n(status(503), 6).chain([status(200)]);
    let client = Client::new(exponential(Jitter::None).max_attempts(7), six);
    assert_eq!(client.status(keyed()).await, 200);
    let delays = client.delays();
    assert_eq!(delays, [100, 200, 400, 800, 1000, 1000].map(ms));
    let total: Duration = delays.iter().sum();
    assert_eq!(client.script.times().last(), Some(&total));
}

#[tokio::test(start_paused = true)]
async fn an_exponential_backoff_grows_by_its_factor() {
    let backoff = Backoff::exponential(ms(100), ms(1000)).factor(3.0);
    let builder = RetryPolicy::builder()
        .backoff(backoff)
        .jitter(Jitter::None)
        .max_attempts(5);
    let client = Client::new(builder, [status(503)]);
    assert_eq!(delays(&client).await, [100, 300, 900, 1000].map(ms));
}

#[tokio::test(start_paused = true)]
async fn an_exponential_backoff_has_full_jitter_unless_told_otherwise() {
    let backoff = Backoff::exponential(ms(100), ms(1000));
    let plain = RetryPolicy::builder()
        .backoff(backoff)
        .max_attempts(9)
        .seed(1);
    let full = exponential(Jitter::Full).max_attempts(9).seed(1);
    assert_eq!(
        delays(&Client::new(plain, [status(503)])).await,
        delays(&Client::new(full, [status(503)])).await,
    );
}

#[tokio::test(start_paused = true)]
async fn full_jitter_repeats_with_its_seed_and_differs_from_call_to_call() {
    let builder = || exponential(Jitter::Full).max_attempts(10).seed(42);
    let (one, other) = (
        Client::new(builder(), [status(503)]),
        Client::new(builder(), [status(503)]),
    );
    let first = delays(&one).await;
    assert_eq!(first, delays(&other).await);
    let second = delays(&one).await;
    assert_ne!(first, second);
    assert_eq!(second, delays(&other).await);
    let seeded = Client::new(builder().seed(43), [status(503)]);
    assert_ne!(first, delays(&seeded).await);
}

#[tokio::test(start_paused = true)]
async fn a_seeds_pauses_do_not_depend_on_calls_that_were_not_retried() {
    let builder = || exponential(Jitter::Full).max_attempts(10).seed(42);
    let expected = delays(&Client::new(builder(), [status(503)])).await;
    let client = Client::new(builder(), [status(404)]);
    assert!(delays(&client).await.is_empty());
    client.script.goes_on_with([status(503)]);
    assert_eq!(delays(&client).await, expected);
}

#[tokio::test(start_paused = true)]
async fn without_a_seed_two_policies_differ() {
    let builder = || exponential(Jitter::Full).max_attempts(10);
    let (one, other) = (
        Client::new(builder(), [status(503)]),
        Client::new(builder(), [status(503)]),
    );
    assert_ne!(delays(&one).await, delays(&other).await);
}

#[tokio::test(start_paused = true)]
async fn full_jitter_still_spreads_at_the_cap_and_for_whole_seconds() {
    let backoff = Backoff::exponential(ms(1000), ms(1000));
    let builder = RetryPolicy::builder()
        .backoff(backoff)
        .max_attempts(2)
        .seed(3);
    let client = Client::new(builder, [status(503)]);
    let mut drawn = HashSet::new();
    for _ in 0..100 {
        drawn.extend(delays(&client).await.iter().map(Duration::as_millis));
    }
    assert!(drawn.len() > 60, "only {} distinct of 100", drawn.len());
    assert!(drawn.iter().min().unwrap() < &200);
    assert!(drawn.iter().max().unwrap() > &800);
}

#[tokio::test(start_paused = true)]
async fn jitter_may_be_asked_for_on_a_fixed_pause() {
    let builder = RetryPolicy::builder()
        .backoff(Backoff::fixed(ms(1000)))
        .jitter(Jitter::Equal)
        .max_attempts(20)
        .seed(9);
    let drawn = delays(&Client::new(builder, [status(503)])).await;
    assert!(
        drawn
            .iter()
            .all(|delay| (ms(500)..=ms(1000)).contains(delay))
    );
    assert!(drawn.iter().collect::<HashSet<_>>().len() > 15);
    assert!(drawn.iter().min().unwrap() < &ms(600), "{drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn decorrelated_jitter_grows_and_spreads() {
    let builder = RetryPolicy::builder()
        .backoff(Backoff::exponential(ms(100), ms(10_000)))
        .jitter(Jitter::Decorrelated)
        .max_attempts(201)
        .seed(5);
    let drawn = delays(&Client::new(builder, [status(503)])).await;
    assert_eq!(drawn.len(), 200);
    assert!(drawn.iter().any(|delay| *delay > ms(5000)), "{drawn:?}");
    assert!(drawn.iter().any(|delay| *delay < ms(1000)), "{drawn:?}");
    assert!(drawn.iter().collect::<HashSet<_>>().len() > 60);
}

/// Fibonacci pauses, as another crate would write them.
#[derive(Clone)]
struct Fibonacci(u64, u64);

impl Iterator for Fibonacci {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let next = self.0;
        *self = Self(self.1, self.0 + self.1);
        Some(ms(next))
    }
}

#[tokio::test(start_paused = true)]
async fn an_iterator_of_another_crate_gives_its_delays_and_then_stops() {
    let backoff = Backoff::from_iter(Fibonacci(100, 100).take(5));
    let client = Client::new(
        RetryPolicy::builder().backoff(backoff).max_attempts(100),
        [status(503)],
    );
    for _ in 0..2 {
        let response = client.call(keyed()).await;
        assert_eq!(info(&response).stop(), Stop::Backoff);
        assert_eq!(client.delays(), [100, 100, 200, 300, 500].map(ms));
    }
}

#[tokio::test(start_paused = true)]
async fn huge_durations_are_no_overflow() {
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ] {
        let backoff = Backoff::exponential(ms(1), Duration::MAX);
        let backoff = match jitter {
            Jitter::Decorrelated => backoff,
            _ => backoff.factor(f64::MAX),
        };
        let builder = RetryPolicy::builder()
            .backoff(backoff)
            .jitter(jitter)
            .max_attempts(5);
        let client = Client::new(builder.deadline(ms(100)), [status(503)]);
        let response = client.call(keyed()).await;
        assert!(matches!(
            info(&response).stop(),
            Stop::Deadline | Stop::Attempts
        ));
    }
}

/// Lets a call of many attempts fail under the given jitter and returns its pauses.
fn draw(jitter: Jitter, base: u64, cap: u64, seed: u64) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let builder = RetryPolicy::builder()
            .backoff(Backoff::exponential(ms(base), ms(cap)))
            .jitter(jitter)
            .max_attempts(12)
            .seed(seed);
        delays(&Client::new(builder, [status(503)])).await
    })
}

fn ceilings(base: u64, cap: u64) -> impl Iterator<Item = Duration> {
    iter::successors(Some(base), move |ceiling| Some((ceiling * 2).min(cap))).map(ms)
}

fn within(delay: Duration, low: Duration, high: Duration) -> Result<(), TestCaseError> {
    prop_assert!(
        low <= delay && delay <= high,
        "{delay:?} not in {low:?}..={high:?}"
    );
    Ok(())
}

proptest! {
    #[test]
    fn full_jitter_lies_between_zero_and_the_ceiling(base in 1..500_u64, more in 0..5_000_u64, seed: u64) {
        let cap = base + more;
        for (delay, ceiling) in draw(Jitter::Full, base, cap, seed).into_iter().zip(ceilings(base, cap)) {
            within(delay, Duration::ZERO, ceiling)?;
        }
    }

    #[test]
    fn equal_jitter_lies_in_the_upper_half_of_the_ceiling(base in 1..500_u64, more in 0..5_000_u64, seed: u64) {
        let cap = base + more;
        for (delay, ceiling) in draw(Jitter::Equal, base, cap, seed).into_iter().zip(ceilings(base, cap)) {
            within(delay, ceiling / 2, ceiling)?;
        }
    }

    #[test]
    fn decorrelated_jitter_lies_between_the_base_and_three_times_the_previous(
        base in 1..500_u64, more in 0..5_000_u64, seed: u64,
    ) {
        let (low, cap) = (ms(base), ms(base + more));
        let mut previous = low;
        for delay in draw(Jitter::Decorrelated, base, base + more, seed) {
            within(delay, low, cap.min(previous * 3))?;
            previous = delay;
        }
    }
}
