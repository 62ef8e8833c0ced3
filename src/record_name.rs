use std::fmt;

use crate::{
    digest::{Digester, Purpose},
    key::IdempotencyKey,
    scope::Scope,
};

/// Names one key of one scope in a store: a digest of namespace, scope and key.
///
/// The digest is SHA-256, or HMAC-SHA-256 with [`IdempotencyLayer::secret`], over length-prefixed
/// fields. It is all that a store ever sees of a key. `Debug` shows its first four bytes.
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
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}
