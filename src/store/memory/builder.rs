use std::{sync::Arc, time::Duration};

use super::{MemoryStore, bounds::Bounds, shared::Shared};

/// Sets the bounds of a [`MemoryStore`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct MemoryStoreBuilder {
    max_entries: usize,
    max_bytes: usize,
    keep_at_least: Option<Duration>,
}

impl MemoryStoreBuilder {
    pub(super) const fn new() -> Self {
        Self {
            max_entries: 10_000_000,
            max_bytes: 1 << 30,
            keep_at_least: None,
        }
    }

    /// Sets how many bytes are held before a new key is refused, counted as
    /// [`MemoryStore::bytes`] says.
    ///
    /// Default: 1 GiB.
    pub const fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets how many keys are held before a new one is refused.
    ///
    /// Default: 10 million.
    pub const fn max_entries(mut self, max_entries: usize) -> Self {
        self.max_entries = max_entries;
        self
    }

    /// Lets records older than this make room for new keys at the bound, oldest first.
    ///
    /// A retry that comes later than that may run again. Choose more than the time for which
    /// clients go on retrying. [`MemoryStore::evicted`] counts what went early.
    ///
    /// Default: not set; every record stays until its ttl, and at the bound new keys are refused.
    pub const fn keep_at_least(mut self, age: Duration) -> Self {
        self.keep_at_least = Some(age);
        self
    }

    /// Makes the store.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        let bounds = Bounds::new(self.max_entries, self.max_bytes);
        MemoryStore {
            shared: Arc::new(Shared::new(bounds, self.keep_at_least)),
        }
    }
}
