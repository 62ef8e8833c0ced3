use std::{error::Error, fmt};

use tower::BoxError;

use super::{Failure, RetryInfo};

/// Says that a call got no answer: the error of its last attempt, and how the call went.
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
    pub(super) info: Option<RetryInfo>,
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
        Self::new(Kind::Request, source.into())
    }

    pub(super) fn attempt(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Attempt, source.into())
    }

    pub(super) fn timeout() -> Self {
        Self::new(Kind::Timeout, Box::new(AttemptTimedOut))
    }

    pub(super) fn not_ready(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::NotReady, source.into())
    }

    fn new(kind: Kind, source: BoxError) -> Self {
        Self {
            kind,
            source,
            info: None,
        }
    }

    /// Returns how the call went, unless the error came from outside its attempts: the request
    /// could not be made, or the inner service was not ready.
    #[must_use]
    pub fn info(&self) -> Option<&RetryInfo> {
        self.info.as_ref()
    }

    /// Returns what is known about the last attempt.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self.kind {
            #[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
            Kind::Request => Failure::Permanent,
            Kind::Attempt => Failure::of_error(&*self.source),
            Kind::Timeout => Failure::Ambiguous,
            Kind::NotReady => Failure::NotProcessed,
        }
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
            (Kind::NotReady, _) => f.write_str("the client is not ready"),
            (_, Some(info)) => write!(
                f,
                "no answer after {} attempt{} ({})",
                info.attempts,
                if info.attempts == 1 { "" } else { "s" },
                info.stop
            ),
            (_, None) => f.write_str("no answer"),
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
