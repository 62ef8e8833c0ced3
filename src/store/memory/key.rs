use std::hash::{Hash, Hasher};

use crate::record_name::RecordName;

/// The first half of a record's name: 128 bits of a digest tell names apart as surely as 256, and
/// millions of keys are held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn of(name: &RecordName) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&name.as_bytes()[..16]);
        Self(key)
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
