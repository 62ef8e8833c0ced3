use std::hash::{Hash, Hasher};

use crate::record_name::RecordName;

/// The first half of a record's name: 128 bits of a digest tell names apart as surely as 256, and
/// millions of keys are held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; Self::LEN]);

impl Key {
    pub(super) const LEN: usize = 16;

    pub(super) fn of(name: &RecordName) -> Self {
        let mut key = [0; Self::LEN];
        key.copy_from_slice(&name.as_bytes()[..Self::LEN]);
        Self(key)
    }

    /// Returns what the key of a name leaves out of it.
    pub(super) fn rest_of(name: &RecordName) -> [u8; RecordName::LEN - Self::LEN] {
        let mut rest = [0; RecordName::LEN - Self::LEN];
        rest.copy_from_slice(&name.as_bytes()[Self::LEN..]);
        rest
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the whole name.
    pub(super) fn name(&self, rest: &[u8; RecordName::LEN - Self::LEN]) -> RecordName {
        let mut name = [0; RecordName::LEN];
        name[..Self::LEN].copy_from_slice(&self.0);
        name[Self::LEN..].copy_from_slice(rest);
        RecordName::from_bytes(name)
    }

    /// Returns which of `parts` the key belongs to. A client can choose keys that all belong to
    /// one: no more is lost by that than a lock that is contended.
    pub(super) fn part(&self, parts: usize) -> usize {
        usize::from(u16::from_le_bytes([self.0[0], self.0[1]])) % parts
    }
}

impl Hash for Key {
    /// Derived, it would hash the length too, which is always the same.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}
