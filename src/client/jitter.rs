use std::time::Duration;

use fastrand::Rng;

/// Says where below its ceiling a pause falls, so that clients that failed together do not come
/// back together.
///
/// The four are those of "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015). Draws are
/// uniform, to the nanosecond, and independent from call to call.
///
/// Default: [`Full`](Self::Full) for an exponential [`Backoff`](super::Backoff), otherwise
/// [`None`](Self::None).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Pauses for exactly the ceiling.
    None,
    /// Pauses for zero up to the ceiling: the widest spread, the least load.
    Full,
    /// Pauses for half the ceiling up to all of it: never at once, half the spread.
    Equal,
    /// Pauses for the base up to three times the previous pause, at most the cap.
    ///
    /// It grows by itself from an exponential backoff's base, so it goes with no other backoff.
    Decorrelated,
}

impl Jitter {
    /// Draws the pause under `ceiling`; `base` and `previous` serve the decorrelated kind.
    pub(super) fn draw(
        self,
        rng: &mut Rng,
        ceiling: Duration,
        (base, cap): (Duration, Duration),
        previous: Duration,
    ) -> Duration {
        match self {
            Self::None => ceiling,
            Self::Full => between(rng, Duration::ZERO, ceiling),
            Self::Equal => between(rng, ceiling / 2, ceiling),
            Self::Decorrelated => between(rng, base, previous.saturating_mul(3).min(cap)),
        }
    }
}

/// Draws from both ends included; 584 years, the most that 64 bits of nanoseconds hold, is enough.
fn between(rng: &mut Rng, low: Duration, high: Duration) -> Duration {
    Duration::from_nanos(rng.u64(nanos(low)..=nanos(high)))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
