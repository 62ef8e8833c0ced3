use std::{error::Error, fmt};

use tower::BoxError;

use super::{Failure, RetryInfo};

/// Says that a call's last attempt got no answer: its error, and how the call went.
///
/// The client's own error is the [`source`](Error::source).
///
/// ```
/// # use tower_idempotency::client::CallError;
/// fn report(error: &CallError) {
///     if let Some(info) = error.info() {
///         eprintln!("gave up after {} attempts: {}", info.attempts(), info.stop());
///     }
/// }
/// ```
#[derive(Debug)]
pub struct CallError {
    kind: Kind,
    source: BoxError,
    failure: Failure,
    info: Option<RetryInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    #[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
    Request,
    Attempt,
    Timeout,
    NotReady,
}

impl CallError {
    /// An error of the request itself, before anything was sent.
    #[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
    pub(super) fn request(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Request, source.into(), Failure::Permanent)
    }

    pub(super) fn attempt(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        let failure = Failure::of_error(&*source);
        Self::new(Kind::Attempt, source, failure)
    }

    pub(super) fn timeout(was_sent: bool) -> Self {
        let failure = if was_sent {
            Failure::Ambiguous
        } else {
            Failure::NotProcessed
        };
        Self::new(Kind::Timeout, Box::new(AttemptTimedOut), failure)
    }

    pub(super) fn not_ready(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::NotReady, source.into(), Failure::NotProcessed)
    }

    fn new(kind: Kind, source: BoxError, failure: Failure) -> Self {
        Self {
            kind,
            source,
            failure,
            info: None,
        }
    }

    /// Adds how the call went, and what is known of it as a whole.
    pub(super) fn ends(&mut self, info: RetryInfo, failure: Failure) {
        self.info = Some(info);
        self.failure = failure;
    }

    /// Returns how the call went, unless it came to no attempt: the request could not be made, or
    /// the inner service was not ready for the first.
    #[must_use]
    pub fn info(&self) -> Option<&RetryInfo> {
        self.info.as_ref()
    }

    /// Returns what is known about the call, all of its attempts together.
    ///
    /// It is [`NotProcessed`](Failure::NotProcessed) only if the server began on none of them: after
    /// a reset and a refused connection the call is ambiguous.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure
    }

    pub(super) fn is_not_ready(&self) -> bool {
        self.kind == Kind::NotReady
    }

    pub(super) fn cause(&self) -> &(dyn Error + 'static) {
        &*self.source
    }

    /// Whether the last attempt took longer than
    /// [`attempt_timeout`](super::RetryPolicyBuilder::attempt_timeout).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::Timeout
    }

    /// Returns the client's own error.
    #[must_use]
    pub fn into_source(self) -> BoxError {
        self.source
    }
}

impl From<BoxError> for CallError {
    /// Wraps the error of one attempt, for a stack that uses the policy by itself.
    fn from(source: BoxError) -> Self {
        Self::attempt(source)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.info) {
            #[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
            (Kind::Request, _) => f.write_str("the request could not be made"),
            (Kind::NotReady, None) => f.write_str("the client is not ready"),
            (_, None) => f.write_str("no answer"),
            (_, Some(info)) if info.attempts == 1 => {
                write!(f, "no answer after 1 attempt ({})", info.stop)
            }
            (_, Some(info)) => write!(
                f,
                "no answer to the last of {} attempts ({})",
                info.attempts, info.stop
            ),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[derive(Debug)]
struct AttemptTimedOut;

impl fmt::Display for AttemptTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the attempt timed out")
    }
}

impl Error for AttemptTimedOut {}
