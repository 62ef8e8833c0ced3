use async_trait::async_trait;
use bytes::Bytes;

use self::sealed::Sealed;
use super::{
    Changed, Claim, Claimed, Completion, Effects, Renewal, Store, StoreError, StoreErrorKind,
    UnknownOutcome,
};
use crate::{
    admin::{Admin, Entry, Force, Forgotten, List, Page, Repair, Repaired},
    fingerprint::Fingerprint,
    record_name::RecordName,
};

mod key_ring;
mod sealed;

pub use key_ring::KeyRing;

/// A store that encrypts every record before it gives it to another store.
///
/// Whoever reads the other store, or a copy of it, learns the lengths of responses and no more of
/// them; names and fingerprints are digests already, keyed ones with
/// [`IdempotencyLayer::secret`](crate::IdempotencyLayer::secret). Whoever writes to it can put no
/// response of their own before a client, nor one client's before another: each record is bound to
/// its name. They can still remove records, or put back an older one of the same name.
///
/// The cipher is XChaCha20-Poly1305 with a random nonce for each record; 45 bytes are added.
///
/// A record that was cut, changed or moved to another name, or whose key is not in the ring, is an
/// error of the kind [`Corrupt`](StoreErrorKind::Corrupt): the client gets 503, the handler does
/// not run, and the log says which it was.
///
/// ```
/// use tower_idempotency::{
///     IdempotencyLayer, MemoryStore,
///     store::{Encrypted, KeyRing},
/// };
///
/// # let (key_of_2026, key_of_2025) = ([1; 32], [2; 32]);
/// // Encrypts with key 2; what was encrypted with key 1 can still be read.
/// let keys = KeyRing::new(2, &key_of_2026).and(1, &key_of_2025);
/// let store = Encrypted::new(MemoryStore::new(), keys);
/// let idempotency = IdempotencyLayer::new(store);
/// ```
#[derive(Debug, Clone)]
pub struct Encrypted<S> {
    inner: S,
    keys: KeyRing,
}

impl<S> Encrypted<S> {
    /// Wraps a store.
    #[must_use]
    pub const fn new(inner: S, keys: KeyRing) -> Self {
        Self { inner, keys }
    }

    fn open(&self, name: &RecordName, sealed: &[u8]) -> Result<Bytes, StoreError> {
        Sealed::parse(sealed)
            .and_then(|sealed| sealed.open(&self.keys, name))
            .map_err(|error| StoreError::new(StoreErrorKind::Corrupt, error))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Encrypted<S> {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        Ok(
            match self
                .inner
                .claim(claim, fingerprint, unknown_outcome)
                .await?
            {
                Claimed::Completed(sealed) => Claimed::Completed(self.open(claim.name(), &sealed)?),
                claimed => claimed,
            },
        )
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.inner.renew(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        let sealed = sealed::seal(&self.keys, claim.name(), &record);
        self.inner.complete(claim, sealed, effects).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.inner.release(claim).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.inner.abandon(claim).await
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.inner.changed(name)
    }
}

/// Shows records decrypted, and encrypts what is recorded by hand.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Admin> Admin for Encrypted<S> {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        self.inner.find(name).await
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        let sealed = self.inner.record(name).await?;
        sealed.map(|sealed| self.open(name, &sealed)).transpose()
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        self.inner.forget(name, force).await
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        let sealed = sealed::seal(&self.keys, repair.name(), repair.record());
        self.inner.repair(&repair.with_record(sealed)).await
    }

    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        self.inner.list(list).await
    }
}
