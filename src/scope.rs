use std::fmt;

use crate::digest::Digest;

/// Says whose key it is: the principal or tenant that a key belongs to.
///
/// Two scopes never see each other's keys. Parts are kept apart, so a tenant `a:b` with a user `c`
/// is not the tenant `a` with a user `b:c`:
///
/// ```
/// use tower_idempotency::Scope;
///
/// let one = Scope::new("a:b").and("c");
/// let other = Scope::new("a").and("b:c");
/// assert_ne!(one, other);
/// ```
///
/// `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope(Vec<Box<[u8]>>);

impl Scope {
    /// Makes a scope of one part, such as a user's id.
    #[must_use]
    pub fn new(part: impl AsRef<[u8]>) -> Self {
        Self(vec![part.as_ref().into()])
    }

    /// Adds a part, such as a user's id within a tenant.
    #[must_use]
    pub fn and(mut self, part: impl AsRef<[u8]>) -> Self {
        self.0.push(part.as_ref().into());
        self
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.length(self.0.len());
        for part in &self.0 {
            digest.field(part);
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope([redacted])")
    }
}
