//! Settings that cannot work are errors that say what to change.

use std::{f64, iter, time::Duration};

use tower_idempotency::client::{Backoff, Budget, Jitter, RetryPolicy, RetryPolicyBuilder};

use super::script::{fixed, ms};

fn refusal(builder: RetryPolicyBuilder) -> String {
    builder.build().expect_err("a refusal").to_string()
}

fn exponential(base: u64, cap: u64) -> Backoff {
    Backoff::exponential(ms(base), ms(cap))
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_change() {
    let builder = RetryPolicy::builder;
    for (builder, advice) in [
        (builder().max_attempts(0), "set max_attempts to 1 or more"),
        (
            builder().backoff(exponential(200, 100)),
            "lower the base or raise the cap",
        ),
        (
            builder().backoff(exponential(0, 100)),
            "give it a base of 1 ms or more",
        ),
        (
            builder().deadline(ms(10)).attempt_timeout(ms(20)),
            "raise the deadline or lower the timeout",
        ),
        (builder().deadline(ms(0)), "leave it out"),
        (builder().attempt_timeout(ms(0)), "set 1 ms or more"),
        (
            fixed().jitter(Jitter::Decorrelated),
            "use Backoff::exponential",
        ),
        (
            builder()
                .backoff(exponential(100, 1000).factor(3.0))
                .jitter(Jitter::Decorrelated),
            "leave the backoff's factor out",
        ),
        (
            builder().budget(Budget::percent(60)),
            "choose 10, 20, 25 or 50",
        ),
        (
            builder().budget(Budget::percent(0)),
            "choose 10, 20, 25 or 50",
        ),
        (
            builder().budget(Budget::percent(20).window(ms(999))),
            "choose 1 s to 60 s",
        ),
        (
            builder().budget(Budget::percent(20).window(ms(60_001))),
            "choose 1 s to 60 s",
        ),
        (
            builder().budget(Budget::percent(20).reserve(u32::MAX)),
            "choose at most",
        ),
    ] {
        let refusal = refusal(builder);
        assert!(refusal.contains(advice), "{refusal}");
    }
}

#[test]
fn factors_that_do_not_grow_are_refused() {
    for factor in [f64::NAN, -1.0, 0.0, 0.5, f64::INFINITY, f64::NEG_INFINITY] {
        let backoff = exponential(100, 1000).factor(factor);
        let refusal = refusal(RetryPolicy::builder().backoff(backoff));
        assert!(refusal.contains("set a number of 1 or more"), "{refusal}");
    }
}

#[test]
fn settings_at_their_limits_are_accepted() {
    let builder = RetryPolicy::builder;
    for builder in [
        builder(),
        builder().max_attempts(1),
        builder().max_attempts(u32::MAX),
        builder().deadline(ms(20)).attempt_timeout(ms(20)),
        builder().deadline(Duration::MAX),
        builder().attempt_timeout(Duration::MAX),
        builder().max_retry_after(Duration::ZERO),
        builder().backoff(Backoff::fixed(Duration::ZERO)),
        builder().backoff(Backoff::from_iter(iter::empty())),
        builder().backoff(exponential(100, 100).factor(1.0)),
        builder().jitter(Jitter::Decorrelated),
        builder().budget(Budget::percent(50).window(ms(60_000)).reserve(1_000_000)),
    ] {
        builder.build().unwrap();
    }
}
