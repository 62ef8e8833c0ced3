use std::{error::Error, fmt, sync::Arc};

use rusqlite::ErrorCode;

use crate::store::{StoreError, StoreErrorKind};

/// Why an operation on the tables failed. Many may fail of one cause, so it can be shared.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Sqlite(Arc<rusqlite::Error>),
    /// The store has grown to its bound.
    Bound,
    /// A row that this crate cannot have written.
    Row,
    /// Nobody got to it within its deadline.
    Late,
    /// The transaction that it was part of is no more.
    Undone,
    /// The thread that it was meant for has ended.
    Gone,
}

impl Failure {
    const fn kind(&self, code: Option<ErrorCode>) -> StoreErrorKind {
        match (self, code) {
            (Self::Bound, _) | (_, Some(ErrorCode::DiskFull)) => StoreErrorKind::Full,
            (Self::Row, _) | (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                StoreErrorKind::Corrupt
            }
            _ => StoreErrorKind::Unavailable,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind(failure.code()), failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Bound => f.write_str("the SQLite file has grown to its bound"),
            Self::Row => f.write_str("a row of the SQLite store was not written by this version"),
            Self::Late => f.write_str("the SQLite store did not get to it in time"),
            Self::Undone => f.write_str("the SQLite transaction was rolled back"),
            Self::Gone => f.write_str("the thread of the SQLite store has ended"),
        }
    }
}

impl Error for Failure {}
