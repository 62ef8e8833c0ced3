use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Whether callers may read on their own threads, which may be a runtime's.
///
/// What is in memory is read in a few microseconds, less than it takes to wake another thread. What
/// is on the disk may take milliseconds, in which a thread of the runtime does nothing else. Nobody
/// can tell beforehand, so slow reads have a budget: a twentieth of the time. Where it is spent,
/// other threads read.
#[derive(Debug)]
pub(super) struct Haste {
    epoch: Instant,
    /// Until when the budget is spent, in nanoseconds since the epoch.
    spent: AtomicU64,
}

/// What takes no longer costs nothing: waking a thread takes about as long.
const FAST: Duration = Duration::from_micros(100);

/// How much time a slow read takes from the budget, for each nanosecond of its own.
const PRICE: u64 = 20;

/// How much of the budget can be saved, for a thread that was not let go on for a moment: ten
/// milliseconds of slow reads.
const SAVED: u64 = PRICE * 10_000_000;

impl Haste {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            spent: AtomicU64::new(0),
        }
    }

    pub(super) fn is_fast(&self) -> bool {
        self.nanos(Instant::now()) >= self.spent.load(Ordering::Relaxed)
    }

    /// Takes note of a read that a caller did, and of when it began.
    pub(super) fn note(&self, began: Instant) {
        let took = began.elapsed();
        if took <= FAST {
            return;
        }
        let (began, ended) = (self.nanos(began), self.nanos(began + took));
        let spend = |spent: u64| {
            let spent = spent.max(ended.saturating_sub(SAVED));
            Some(spent.saturating_add((ended - began).saturating_mul(PRICE)))
        };
        let _ = self
            .spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
