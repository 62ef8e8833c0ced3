use std::{error::Error, fmt};

use crate::store::{StoreError, StoreErrorKind};

/// Something that went wrong between us and the server.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) source: Box<dyn Error + Send + Sync>,
}

/// What a failure means for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// There is no connection to be had.
    NoConnection,
    /// The connection broke, and whether the server did what was asked is not known.
    Broken,
    /// The server undid it, for the sake of another transaction: it may be asked again.
    Conflict,
    /// The server has no room.
    Full,
    /// The tables are not what they must be, or not ours to use.
    Foreign,
    /// The transaction is no longer the one that was begun, or another's record is there.
    NotOurs,
    /// An earlier statement of the transaction failed.
    Failed,
    /// The server refused, for reasons of its own.
    Refused,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: source.into(),
        }
    }

    /// Makes the failure that an error code of the server's stands for ("Appendix A" of its
    /// manual).
    pub(super) fn of_code(code: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let kind = match code {
            // Serialization failures, deadlocks, and a row that came between.
            "40001" | "40P01" => FailureKind::Conflict,
            // The connection is being ended, or the server.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => FailureKind::Broken,
            "53100" | "53200" => FailureKind::Full,
            // What `keep.sql` brings about; no such savepoint; no transaction.
            "23502" | "3B001" | "25P01" => FailureKind::NotOurs,
            "25P02" => FailureKind::Failed,
            "XX001" | "XX002" => FailureKind::Foreign,
            _ if code.starts_with("42") || code.starts_with("3F") => FailureKind::Foreign,
            _ if code.starts_with("08") => FailureKind::Broken,
            // A standby that does not write (25006) is among them: it is one for longer than we ask.
            _ => FailureKind::Refused,
        };
        Self::new(kind, source)
    }

    /// Something that this store would not have written.
    pub(super) fn foreign() -> Self {
        Self::new(
            FailureKind::Foreign,
            "the server sent what was not asked for",
        )
    }

    /// A server that follows another, and must not answer for it.
    pub(super) fn standby() -> Self {
        Self::new(
            FailureKind::Refused,
            "the server is a standby: claims are for the primary",
        )
    }

    /// An operation that took too long.
    pub(super) fn late() -> Self {
        Self::new(FailureKind::Refused, "no answer within the deadline")
    }

    /// Whether a statement may be sent again that stands alone and minds no repetition.
    pub(super) fn may_be_repeated(&self) -> bool {
        matches!(self.kind, FailureKind::Broken | FailureKind::Conflict)
    }
}

/// With all that caused it, in one line: the drivers keep what the server said in their sources.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Full => StoreErrorKind::Full,
            FailureKind::Foreign => StoreErrorKind::Corrupt,
            _ => StoreErrorKind::Unavailable,
        };
        Self::new(kind, failure)
    }
}
