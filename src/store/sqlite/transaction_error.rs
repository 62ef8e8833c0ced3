use std::{error::Error, fmt};

/// Why [`SqliteTransaction::run`](crate::store::SqliteTransaction::run) has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactionError {
    /// The transaction is no more, and what was written in it is undone.
    Ended,
    /// What the function returned.
    Sqlite(rusqlite::Error),
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the idempotency store's transaction has ended"),
            Self::Sqlite(error) => error.fmt(f),
        }
    }
}

impl Error for TransactionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Ended => None,
            Self::Sqlite(error) => error.source(),
        }
    }
}
