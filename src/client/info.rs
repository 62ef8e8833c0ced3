use std::{fmt, time::Duration};

use http::Extensions;

/// Tells how a call went: in the extensions of its answer, or in its [`CallError`](super::CallError).
///
/// An answer that came at once carries none, since extensions cost three allocations;
/// [`of`](Self::of) reads both.
///
/// ```
/// use tower_idempotency::client::{RetryInfo, Stop};
///
/// let response = http::Response::new(());
/// let info = RetryInfo::of(response.extensions());
/// assert_eq!((info.attempts(), info.stop()), (1, Stop::Answered));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryInfo {
    pub(super) attempts: u32,
    pub(super) slept: Duration,
    pub(super) stop: Stop,
    /// Whether the server may have begun on one of the attempts that failed.
    pub(super) in_doubt: bool,
}

impl RetryInfo {
    /// Reads how the call went from its answer's extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self {
            attempts: 1,
            slept: Duration::ZERO,
            stop: Stop::Answered,
            in_doubt: false,
        })
    }

    /// Returns how many attempts were made. One that waited in vain until its service was ready sent
    /// nothing, and counts.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns how long the call paused between attempts, all pauses together.
    #[must_use]
    pub fn slept(&self) -> Duration {
        self.slept
    }

    /// Returns why there was no further attempt.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop
    }

    /// Whether the answer tells more than its absence would.
    pub(super) fn is_worth_telling(&self) -> bool {
        self.attempts > 1 || self.stop != Stop::Answered
    }
}

/// Says why a call made no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The answer is no failure.
    Answered,
    /// The failure is [permanent](super::Failure::Permanent).
    Permanent,
    /// The server replayed a recorded answer: it would replay it again.
    Replayed,
    /// The failure is ambiguous, the method not idempotent, and there is no key.
    Unkeyed,
    /// The body could be sent only once.
    Body,
    /// All attempts were made.
    Attempts,
    /// The backoff had no more pauses.
    Backoff,
    /// The next attempt would have begun after the deadline.
    Deadline,
    /// The budget was empty.
    Budget,
    /// The server asked to wait for longer than the policy allows, or not to try again.
    Server,
    /// The inner service failed before it was ready for the next attempt.
    NotReady,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "answered",
            Self::Permanent => "another attempt would fail in the same way",
            Self::Replayed => "the server replayed a recorded answer",
            Self::Unkeyed => "without a key it is not safe to send again",
            Self::Body => "its body can be sent only once",
            Self::Attempts => "all attempts were made",
            Self::Backoff => "the backoff has ended",
            Self::Deadline => "the next attempt would begin after the deadline",
            Self::Budget => "the retry budget is empty",
            Self::Server => "the server asked for too long a pause, or for no retry",
            Self::NotReady => "the client was not ready for another",
        })
    }
}
