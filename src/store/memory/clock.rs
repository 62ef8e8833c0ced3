use std::time::Duration;

use crate::runtime::Instant;

/// Counts nanoseconds from the making of the store: a moment takes 8 bytes where an `Instant`
/// takes 16, and 580 years are enough.
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
