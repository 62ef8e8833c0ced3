//! The store in this process's memory.

mod admin;
mod bounds;
mod builder;
mod calendar;
mod clock;
mod key;
mod queue;
mod shared;
mod slot;
mod sweep;
mod waiters;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::builder::MemoryStoreBuilder;
use self::shared::Shared;
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    record_name::RecordName,
    store::{Changed, Claim, Claimed, Completion, Effects, Renewal, Store, StoreError},
};

/// Keeps claims and records in this process's memory; clones share them.
///
/// They are gone when the process ends, and no other process sees them: for one server, for tests
/// and for development.
///
/// # Bounds
///
/// It holds at most 10 million keys and 1 GiB, or what [`builder`](Self::builder) sets. At the
/// bound a new key is refused ([`StoreErrorKind::Full`]), while replays and completions go on;
/// these may overshoot by the records of what is in flight.
/// [`keep_at_least`](MemoryStoreBuilder::keep_at_least) lets old records make room instead. What is
/// in flight, lapsed or abandoned never does. With the feature `tracing`, a warning says when 80 %
/// are reached.
///
/// # Expiry
///
/// What has expired is never returned. Its memory is freed by the claims that follow, a few keys
/// each, and no pause grows with the number of keys. Time is tokio's, so a test that pauses it
/// can let records expire.
///
/// [`StoreErrorKind::Full`]: crate::store::StoreErrorKind::Full
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

impl MemoryStore {
    /// Makes a store with the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder that sets bounds.
    pub const fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::new()
    }

    /// Returns how many keys are held, expired ones that were not swept yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.bounds().entries()
    }

    /// Returns whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes are held: 144 for each key, 128 more while it has no record, and
    /// the length of each record.
    ///
    /// The 144 stand for the key's place in the index and in the queue and for the allocator's
    /// share; what was measured is a little less.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bounds().bytes()
    }

    /// Returns how many records were forgotten before they expired, because
    /// [`keep_at_least`](MemoryStoreBuilder::keep_at_least) was set and the bound was reached.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.shared.bounds().evicted()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .field("evicted", &self.evicted())
            .field("queued", &self.shared.queue.len())
            .field("waited_for", &self.shared.waited_for())
            .finish()
    }
}

// No operation awaits anything: a future of theirs does all at its first poll, or nothing.
#[async_trait]
impl Store for MemoryStore {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        Ok(self.shared.claim(claim, fingerprint, unknown_outcome)?)
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        Ok(self.shared.renew(claim))
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _effects: Effects,
    ) -> Result<Completion, StoreError> {
        Ok(self.shared.complete(claim, record))
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.shared.release(claim);
        Ok(())
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.shared.abandon(claim);
        Ok(())
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.shared.changed(name)
    }
}
