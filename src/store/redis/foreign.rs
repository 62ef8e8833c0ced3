use std::{error::Error, fmt};

use crate::store::{StoreError, StoreErrorKind};

/// Something that is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The answer to another call.
    Answer,
    /// A value that this store did not write, or not under this name, or not in this version.
    Value,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer => "the server's answer belongs to another call",
            Self::Value => "what is kept under the key is not this record",
        })
    }
}

impl Error for Foreign {}

impl From<Foreign> for StoreError {
    fn from(foreign: Foreign) -> Self {
        Self::new(StoreErrorKind::Corrupt, foreign)
    }
}
