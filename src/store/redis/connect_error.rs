use std::{error::Error, fmt};

use redis::RedisError;

/// Why a [`RedisStore`](super::RedisStore) was not made.
#[derive(Debug)]
pub struct ConnectError {
    kind: ConnectErrorKind,
    reason: String,
    source: Option<RedisError>,
}

/// The kinds of [`ConnectError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectErrorKind {
    /// The URL or the settings are invalid.
    Invalid,
    /// The server does not answer, or does not let us in.
    Unreachable,
    /// The server's settings lose keys: see [`UnsafeSettings`](super::UnsafeSettings).
    Unsafe,
}

impl ConnectError {
    pub(super) fn new(
        kind: ConnectErrorKind,
        reason: impl Into<String>,
        source: Option<RedisError>,
    ) -> Self {
        Self {
            kind,
            reason: reason.into(),
            source,
        }
    }

    pub(super) fn invalid(source: RedisError) -> Self {
        Self::new(ConnectErrorKind::Invalid, "invalid settings", Some(source))
    }

    pub(super) fn unreachable(source: RedisError) -> Self {
        let reason = "the server cannot be reached";
        Self::new(ConnectErrorKind::Unreachable, reason, Some(source))
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> ConnectErrorKind {
        self.kind
    }
}

/// One line, with what caused it.
impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

// The source is in the message.
impl Error for ConnectError {}
