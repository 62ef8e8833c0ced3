use std::{error::Error, fmt, time::Duration};

use http::StatusCode;

use super::Failure;

/// Tells of a retry about to be made, before its pause: see
/// [`on_retry`](super::RetryPolicyBuilder::on_retry).
///
/// It holds neither the key nor a body. The text of an error is its client's own: reqwest's holds
/// the URL with its query.
#[derive(Debug)]
pub struct RetryEvent<'a> {
    pub(super) attempt: u32,
    pub(super) delay: Duration,
    pub(super) failure: Failure,
    pub(super) cause: Cause<'a>,
}

impl<'a> RetryEvent<'a> {
    /// Returns which attempt failed, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the pause before the next attempt.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Returns what is known about the failed attempt.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure
    }

    /// Returns the answer's status or the error.
    #[must_use]
    pub fn cause(&self) -> Cause<'a> {
        self.cause
    }
}

/// Says what came of an attempt that failed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Cause<'a> {
    /// An answer of this status.
    Status(StatusCode),
    /// No answer but this error.
    Error(&'a (dyn Error + 'static)),
}

impl fmt::Display for Cause<'_> {
    /// Writes the status, or the error with its sources, innermost last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Error(error) => {
                error.fmt(f)?;
                let mut source = error.source();
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    }
}
