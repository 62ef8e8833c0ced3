use std::sync::Arc;

use crate::RecordName;

/// What a record is kept under: the prefix, and the first 144 bits of its name in base64url, which
/// are 24 characters. The whole name is in what is kept. It also names the channel on which changes
/// are told, so that in a cluster both belong to one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Arc<[u8]>);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Key {
    /// How much of a name goes into a key. With a short prefix the key is not longer than 31 bytes:
    /// one more, and it costs the server 32 more.
    pub(super) const BYTES: usize = 18;

    /// How long that is, written out.
    pub(super) const TEXT: usize = Self::BYTES / 3 * 4;

    pub(super) fn new(prefix: &str, name: &RecordName) -> Self {
        let mut key = Vec::with_capacity(prefix.len() + Self::TEXT);
        key.extend_from_slice(prefix.as_bytes());
        for group in name.as_bytes()[..Self::BYTES].chunks(3) {
            let mut bytes = [0; 4];
            bytes[1..].copy_from_slice(group);
            let bits = u32::from_be_bytes(bytes) as usize;
            key.extend([18, 12, 6, 0].map(|shift| ALPHABET[bits >> shift & 63]));
        }
        Self(key.into())
    }

    /// Reads what comes after the prefix: the beginning of a name.
    pub(super) fn name_of(text: &[u8]) -> Option<RecordName> {
        let mut name = Vec::with_capacity(Self::BYTES);
        for group in text.chunks_exact(4) {
            let mut bits = 0;
            for letter in group {
                let value = ALPHABET.iter().position(|known| known == letter)?;
                bits = bits << 6 | u32::try_from(value).ok()?;
            }
            name.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        (name.len() == Self::BYTES).then(|| RecordName::beginning(&name))
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
