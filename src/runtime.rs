//! The one place that randomness, time and tasks come from, so that a simulation can replay a seed.

use std::future::Future;

use rand::RngExt;
use tokio::runtime::Handle;
pub(crate) use tokio::time::{Instant, sleep, sleep_until};

/// Returns bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    rand::rng().random()
}

/// Runs a future to its end, whoever is no longer waiting for it.
pub(crate) fn spawn(runtime: &Handle, future: impl Future<Output = ()> + Send + 'static) {
    drop(runtime.spawn(future));
}
