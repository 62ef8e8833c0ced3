use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Whether reads take so little time, of late, that a thread of the runtime may do them.
///
/// What is in memory is read in a few microseconds, less than it takes to wake another thread. What
/// is on the disk may take milliseconds, in which a thread of the runtime would do nothing else.
/// Nobody can tell beforehand, so a read that was slow is followed by a pause a hundred times as
/// long: at most a hundredth of a thread's time goes to the disk.
#[derive(Debug)]
pub(super) struct Haste {
    epoch: Instant,
    /// When the pause ends, in nanoseconds since the epoch.
    resumes: AtomicU64,
}

/// Waking a thread takes about as long.
const FAST: Duration = Duration::from_micros(100);

const PAUSE: u32 = 100;

impl Haste {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            resumes: AtomicU64::new(0),
        }
    }

    pub(super) fn is_fast(&self) -> bool {
        self.nanos(Instant::now()) >= self.resumes.load(Ordering::Relaxed)
    }

    /// Takes note of a read that began then, whoever did it.
    pub(super) fn note(&self, began: Instant) {
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        if took > FAST {
            let resumes = self.nanos(now + took * PAUSE);
            self.resumes.fetch_max(resumes, Ordering::Relaxed);
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
