use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use http::{HeaderMap, HeaderName};

use super::{
    Backoff, Failure, Jitter, Key, RetryEvent, Stop,
    budget::Account,
    delays::Delays,
    outcome::{Outcome, Wish},
};

/// What all clones of a policy share.
pub(super) struct Settings {
    pub(super) backoff: Backoff,
    pub(super) jitter: Jitter,
    pub(super) max_attempts: u32,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) max_retry_after: Duration,
    pub(super) key: Key,
    pub(super) key_header: HeaderName,
    pub(super) any_conflict: bool,
    pub(super) budget: Option<Account>,
    pub(super) on_retry: Option<OnRetry>,
    pub(super) seed: Option<u64>,
    /// How many calls drew a pause: each gets a sequence of its own from the one seed.
    pub(super) drawn: AtomicU64,
}

pub(super) type OnRetry = Arc<dyn Fn(&RetryEvent<'_>) + Send + Sync>;

impl Settings {
    /// Whether a request has a key: an empty one is none.
    pub(super) fn has_key(&self, headers: &HeaderMap) -> bool {
        let key = headers.get(&self.key_header);
        key.is_some_and(|key| !key.as_bytes().trim_ascii().is_empty())
    }
}

/// How far a call is when an attempt has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Attempts that count, the one that ended included.
    pub(super) counted: u32,
    pub(super) elapsed: Duration,
    /// How many answers said that the call is under way, the last included.
    pub(super) waits: u32,
    /// How long ago the first of them came.
    pub(super) waited: Duration,
    /// Whether an ambiguous failure may be repeated: the method is idempotent, or there is a key.
    pub(super) is_safe: bool,
    pub(super) is_repeatable: bool,
}

impl Progress {
    fn least_wait(&self, failure: Failure) -> Duration {
        if failure != Failure::UnderWay {
            return Duration::ZERO;
        }
        let doubled = 2_u32.saturating_pow(self.waits.saturating_sub(1));
        FIRST_WAIT.saturating_mul(doubled).min(FULL_WAIT)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Stop(Stop),
    Retry(Duration),
}

/// How long a 409 is waited for where no deadline is set.
const UNDER_WAY_DEADLINE: Duration = Duration::from_secs(60);

/// The least pause before a call under way is asked for again, which doubles from the first to the
/// full: a server may ask for none, and a backoff may have ended.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const FULL_WAIT: Duration = Duration::from_secs(1);

impl Settings {
    /// Decides what follows an attempt. It reads no clock and takes from no budget: the same
    /// arguments give the same decision.
    ///
    /// `own` draws the pause that the backoff proposes, if it has one left: only for a failure that
    /// may be retried, so that a seed's pauses do not depend on others.
    pub(super) fn decide(
        &self,
        outcome: &Outcome<'_>,
        progress: Progress,
        own: impl FnOnce() -> Option<Duration>,
    ) -> Decision {
        let Some(failure) = outcome.failure else {
            return Decision::Stop(Stop::Answered);
        };
        if outcome.replayed {
            return Decision::Stop(Stop::Replayed);
        }
        if failure == Failure::Permanent {
            return Decision::Stop(Stop::Permanent);
        }
        if failure == Failure::Ambiguous && !progress.is_safe {
            return Decision::Stop(Stop::Unkeyed);
        }
        if !progress.is_repeatable {
            return Decision::Stop(Stop::Body);
        }
        if failure != Failure::UnderWay && progress.counted >= self.max_attempts {
            return Decision::Stop(Stop::Attempts);
        }
        let floor = match outcome.wish {
            Wish::Nothing => Duration::ZERO,
            Wish::Wait(floor) if floor <= self.max_retry_after => floor,
            Wish::Wait(_) | Wish::Never => return Decision::Stop(Stop::Server),
        };
        let Some(own) = own() else {
            return Decision::Stop(Stop::Backoff);
        };
        let delay = floor.max(progress.least_wait(failure)).saturating_add(own);
        let (elapsed, deadline) = match self.deadline {
            None if failure == Failure::UnderWay => (progress.waited, Some(UNDER_WAY_DEADLINE)),
            deadline => (progress.elapsed, deadline),
        };
        if deadline.is_some_and(|deadline| elapsed.saturating_add(delay) >= deadline) {
            return Decision::Stop(Stop::Deadline);
        }
        Decision::Retry(delay)
    }

    pub(super) fn delays(&self) -> Delays {
        let rng = match self.seed {
            None => Rng::new(),
            Some(seed) => {
                let call = self.drawn.fetch_add(1, Ordering::Relaxed);
                Rng::with_seed(seed.wrapping_add(call.wrapping_mul(GOLDEN_RATIO)))
            }
        };
        Delays::new(&self.backoff, self.jitter, rng)
    }
}

/// 2^64 divided by the golden ratio, as in `SplitMix64`: spreads consecutive calls over all seeds.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("backoff", &self.backoff)
            .field("jitter", &self.jitter)
            .field("max_attempts", &self.max_attempts)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("deadline", &self.deadline)
            .field("max_retry_after", &self.max_retry_after)
            .field("key", &self.key)
            .field("key_header", &self.key_header)
            .field("any_conflict", &self.any_conflict)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
