//! The one place that randomness, time and tasks come from, so that a simulation can replay a seed.

use std::{future::Future, sync::mpsc, thread, time::Duration};

use rand::RngExt;
use tokio::runtime::RuntimeFlavor;
pub(crate) use tokio::{
    runtime::{Handle, Id},
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

/// Runs a future to its end, and its timers on time, while one worker of the runtime is free.
///
/// Two traps are in the way where the other workers are blocked. A task that a worker spawns waits
/// in a slot that no other worker takes from. And a worker that polled the timers, found one task
/// due and is blocked by it has woken nobody to poll them next. So a thread outside of the runtime
/// starts the task, and wakes a worker at every `pace`.
pub(crate) fn spawn_unstarved(
    runtime: &Handle,
    pace: Duration,
    future: impl Future<Output = ()> + Send + 'static,
) {
    const SHORTEST_PACE: Duration = Duration::from_millis(1);
    // A runtime of one thread has no other worker, and a simulation no other thread.
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return spawn(runtime, future);
    }
    let handle = runtime.clone();
    let (hand_over, handed_over) = mpsc::channel();
    let pacemaker = thread::Builder::new().name("idempotency-pace".into());
    let started = pacemaker.spawn(move || {
        let Ok(future) = handed_over.recv() else {
            return;
        };
        let task = handle.spawn(future);
        while !task.is_finished() {
            thread::sleep(pace.max(SHORTEST_PACE));
            spawn(&handle, async {});
        }
    });
    match started {
        Ok(_) => drop(hand_over.send(future)),
        Err(_) => spawn(runtime, future),
    }
}
