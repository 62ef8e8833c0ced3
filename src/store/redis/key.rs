use std::sync::Arc;

use crate::RecordName;

/// What a record is kept under: the prefix, and the name in base64url. It also names the channel
/// on which changes are told, so that in a cluster both belong to one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Arc<[u8]>);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Key {
    pub(super) fn new(prefix: &str, name: &RecordName) -> Self {
        let mut key = Vec::with_capacity(prefix.len() + RecordName::LEN.div_ceil(3) * 4);
        key.extend_from_slice(prefix.as_bytes());
        for group in name.as_bytes().chunks(3) {
            let mut bytes = [0; 4];
            bytes[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(bytes) as usize;
            let digits = [18, 12, 6, 0].map(|shift| ALPHABET[bits >> shift & 63]);
            key.extend_from_slice(&digits[..=group.len()]);
        }
        Self(key.into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}
