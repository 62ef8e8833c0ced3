//! The one place that randomness, time and tasks come from, so that a simulation can replay a seed.

use std::{future::Future, time::Duration};

use rand::RngExt;
pub(crate) use tokio::{
    runtime::{Handle, Id},
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

/// Returns bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    rand::rng().random()
}

/// Returns between half of a duration and all of it.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Runs a future to its end, whoever is no longer waiting for it.
pub(crate) fn spawn(runtime: &Handle, future: impl Future<Output = ()> + Send + 'static) {
    drop(runtime.spawn(future));
}
