use std::{error::Error, fmt, str::FromStr};

use crate::{
    digest::{Digester, Purpose},
    hex::{self, Hex},
    key::IdempotencyKey,
    scope::Scope,
};

/// Names one key of one scope in a store: a digest of namespace, scope and key.
///
/// The digest is SHA-256, or HMAC-SHA-256 with [`IdempotencyLayer::secret`], over length-prefixed
/// fields. It is all that a store ever sees of a key. `Debug` shows its first four bytes, as the log
/// does; `{:x}` shows the whole, and `parse` reads that. [`RecordNames`](crate::RecordNames) makes
/// the name of a key.
///
/// [`IdempotencyLayer::secret`]: crate::IdempotencyLayer::secret
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordName([u8; Self::LEN]);

impl RecordName {
    /// The length of a name in bytes.
    pub const LEN: usize = 32;

    pub(crate) fn of(
        digester: &Digester,
        namespace: &str,
        scope: Option<&Scope>,
        key: &IdempotencyKey,
    ) -> Self {
        let mut digest = digester.start(Purpose::RecordName);
        digest.field(namespace.as_bytes());
        match scope {
            Some(scope) => scope.digest(&mut digest),
            None => digest.length(0),
        }
        digest.field(key.as_str().as_bytes());
        Self(digest.finish())
    }

    /// Returns a name of which no more is known than its beginning; the rest is zero.
    pub(crate) fn beginning(beginning: &[u8]) -> Self {
        let mut name = [0; Self::LEN];
        name[..beginning.len()].copy_from_slice(beginning);
        Self(name)
    }

    /// Returns the name that these bytes are, for stores that read it back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the name.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", Hex(&self.0[..4]))
    }
}

impl fmt::LowerHex for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl FromStr for RecordName {
    type Err = InvalidRecordName;

    fn from_str(digits: &str) -> Result<Self, InvalidRecordName> {
        hex::read(digits).map(Self).ok_or(InvalidRecordName)
    }
}

/// Text that is no [`RecordName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRecordName;

impl fmt::Display for InvalidRecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a record is 64 hexadecimal digits")
    }
}

impl Error for InvalidRecordName {}
