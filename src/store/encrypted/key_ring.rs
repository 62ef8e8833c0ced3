use std::{fmt, sync::Arc};

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

/// The keys of an [`Encrypted`](super::Encrypted) store: the one that encrypts, and older ones that
/// can still decrypt.
///
/// To rotate keys without refusing anyone: first give every server the new key with
/// [`and`](KeyRing::and), then make it the first of the ring and keep the old one with `and`, and
/// take the old one out when the ttl of the records has passed since the last server changed.
///
/// A key is 256 random bits, from a secret manager say, not a password.
#[derive(Clone)]
pub struct KeyRing {
    /// The first one encrypts.
    ciphers: Arc<[(u32, XChaCha20Poly1305)]>,
}

impl KeyRing {
    /// Makes a ring of one key, known by an id that is stored with each record in the clear.
    #[must_use]
    pub fn new(id: u32, key: &[u8; 32]) -> Self {
        Self {
            ciphers: Arc::new([(id, cipher(key))]),
        }
    }

    /// Adds a key that decrypts only.
    ///
    /// # Panics
    ///
    /// Panics if the ring has a key of this id.
    #[must_use]
    pub fn and(self, id: u32, key: &[u8; 32]) -> Self {
        assert!(
            self.get(id).is_none(),
            "the key ring has two keys with the id {id}"
        );
        let mut ciphers = self.ciphers.to_vec();
        ciphers.push((id, cipher(key)));
        Self {
            ciphers: ciphers.into(),
        }
    }

    /// Returns the key that encrypts, and its id.
    pub(super) fn current(&self) -> (u32, &XChaCha20Poly1305) {
        let (id, cipher) = &self.ciphers[0];
        (*id, cipher)
    }

    pub(super) fn get(&self, id: u32) -> Option<&XChaCha20Poly1305> {
        let found = self.ciphers.iter().find(|(known, _)| *known == id);
        found.map(|(_, cipher)| cipher)
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// Shows the ids, and nothing of the keys.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.ciphers.iter().map(|(id, _)| id))
            .finish()
    }
}
