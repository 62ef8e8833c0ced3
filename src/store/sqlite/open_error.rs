use std::{error::Error, fmt, sync::Arc};

use rusqlite::ErrorCode;

/// Why a [`SqliteStore`](crate::SqliteStore) could not be opened.
#[derive(Debug)]
pub struct OpenError {
    kind: OpenErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`OpenError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The file cannot be opened, or was locked for too long.
    Unreachable,
    /// The file, or the disk that it is on, cannot be written to.
    ReadOnly,
    /// The disk is full.
    Full,
    /// The file is damaged, or none of SQLite's.
    Damaged,
    /// The store in the file was made by a newer version of this crate.
    Newer,
    /// The database has no file, or its file system cannot share memory between processes, so
    /// that there can be no write-ahead log.
    Unsupported,
}

impl OpenError {
    pub(super) const fn new(kind: OpenErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn io(source: std::io::Error) -> Self {
        Self {
            kind: OpenErrorKind::Unreachable,
            source: Some(source.into()),
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> OpenErrorKind {
        self.kind
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from_shared(error.into())
    }
}

impl OpenError {
    pub(super) fn from_shared(error: Arc<rusqlite::Error>) -> Self {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenErrorKind::ReadOnly,
            Some(ErrorCode::DiskFull) => OpenErrorKind::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenErrorKind::Damaged,
            _ => OpenErrorKind::Unreachable,
        };
        Self {
            kind,
            source: Some(Box::new(error)),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            OpenErrorKind::Unreachable => "the SQLite file cannot be opened",
            OpenErrorKind::ReadOnly => "the SQLite file cannot be written to",
            OpenErrorKind::Full => "the disk of the SQLite file is full",
            OpenErrorKind::Damaged => "the file is damaged, or not a SQLite database",
            OpenErrorKind::Newer => {
                "the idempotency store in the SQLite file was made by a newer version"
            }
            OpenErrorKind::Unsupported => {
                "the SQLite database has no file, or one that cannot have a write-ahead log"
            }
        })?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
