use std::{error::Error, fmt};

/// Why a [`PostgresStore`](super::PostgresStore) was not made of a URL. `Display` has the cause.
#[derive(Debug)]
pub struct PostgresConnectError {
    kind: PostgresConnectErrorKind,
    cause: String,
}

/// The kinds of [`PostgresConnectError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostgresConnectErrorKind {
    /// The URL, or a name, is invalid.
    Invalid,
    /// The server does not answer, or does not let us in.
    Unreachable,
}

impl PostgresConnectError {
    pub(super) fn invalid(cause: impl Error) -> Self {
        Self::new(PostgresConnectErrorKind::Invalid, &cause)
    }

    pub(super) fn unreachable(cause: impl Error) -> Self {
        Self::new(PostgresConnectErrorKind::Unreachable, &cause)
    }

    fn new(kind: PostgresConnectErrorKind, cause: &dyn Error) -> Self {
        let mut causes = cause.to_string();
        let mut next = cause.source();
        while let Some(cause) = next {
            causes = format!("{causes}: {cause}");
            next = cause.source();
        }
        Self {
            kind,
            cause: causes,
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> PostgresConnectErrorKind {
        self.kind
    }
}

impl fmt::Display for PostgresConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            PostgresConnectErrorKind::Invalid => "invalid settings",
            PostgresConnectErrorKind::Unreachable => "the server cannot be reached",
        };
        write!(f, "{what}: {}", self.cause)
    }
}

impl Error for PostgresConnectError {}
