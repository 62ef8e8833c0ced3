//! Times that can be compared on a machine that others use too: what is compared takes turns, and
//! each figure is the median of the ratios within a round.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::variant::Variant;

/// The seconds that one thing took, in each round.
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn new(seconds: Vec<f64>) -> Self {
        Self(seconds)
    }

    /// Returns the median of the ratios to another's time in the same round.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(own, other)| own / other))
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let sums = self.0.iter().zip(&other.0).map(|(own, other)| own + other);
        Self(sums.collect())
    }

    pub(crate) fn median(&self) -> f64 {
        median(self.0.iter().copied())
    }
}

/// Has each take its turn in each round; `take` returns how long the one took.
pub(crate) fn interleaved<T>(
    rounds: usize,
    subjects: &[T],
    mut take: impl FnMut(&T) -> Duration,
) -> Vec<Times> {
    let mut times = vec![Vec::with_capacity(rounds); subjects.len()];
    for _ in 0..rounds {
        for (subject, times) in subjects.iter().zip(&mut times) {
            times.push(take(subject).as_secs_f64());
        }
    }
    times.into_iter().map(Times).collect()
}

/// Times requests, each made just before it is sent, as a server reads one after the other.
/// Returns the time of one.
pub(crate) fn send(runtime: &Runtime, variant: &Variant, requests: u32) -> Duration {
    let all = runtime.block_on(async {
        let mut time = Duration::ZERO;
        for _ in 0..requests {
            let request = variant.request();
            let start = Instant::now();
            variant.send(request).await;
            time += start.elapsed();
        }
        time
    });
    all / requests
}

pub(crate) fn single_threaded() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
