//! The store in this process's memory.

mod bounds;
mod builder;
mod calendar;
mod clock;
mod key;
mod queue;
mod slot;
mod waiters;

use std::{
    fmt,
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use dashmap::{DashMap, Entry};

pub use self::builder::MemoryStoreBuilder;
use self::{
    bounds::{Bounds, Full},
    calendar::Entry as Queued,
    clock::{Clock, nanos},
    key::Key,
    queue::{List, Queue},
    slot::Slot,
    waiters::Waiters,
};
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

struct Shared {
    /// No guard of this map leaves the function that made it, and none is held while the map is
    /// looked at again: either could lock up.
    slots: DashMap<Key, Slot, RandomState>,
    queue: Queue,
    waiters: Arc<Waiters>,
    bounds: Bounds,
    keep_at_least: Option<u64>,
    clock: Clock,
    /// The shard of the queue that makes room next.
    next_shard: AtomicUsize,
}

/// So many that growing one of them, with ten million keys in all, takes less than a millisecond.
const MAP_SHARDS: usize = 1024;

/// How many due keys a claim looks at: twice what it may queue, so that sweeping keeps up.
const SWEPT_PER_CLAIM: usize = 4;

/// How many records may be forgotten to make room for one new one.
const EVICTED_PER_CALL: usize = 64;

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

    fn with(bounds: Bounds, keep_at_least: Option<Duration>) -> Self {
        let shared = Shared {
            slots: DashMap::with_hasher_and_shard_amount(RandomState::new(), MAP_SHARDS),
            queue: Queue::new(),
            waiters: Arc::new(Waiters::new()),
            bounds,
            keep_at_least: keep_at_least.map(nanos),
            clock: Clock::start(),
            next_shard: AtomicUsize::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns how many keys are held, expired ones that were not swept yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.bounds.entries()
    }

    /// Returns whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes are held: 144 for each key, 112 more while it has no record, and
    /// the length of each record.
    ///
    /// The 144 stand for the key's place in the index and in the queue and for the allocator's
    /// share; what was measured is a little less.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bounds.bytes()
    }

    /// Returns how many records were forgotten before they expired, because
    /// [`keep_at_least`](MemoryStoreBuilder::keep_at_least) was set and the bound was reached.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.shared.bounds.evicted()
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
        let now = self.shared.clock.now();
        self.sweep(Queue::shard_of(&Key::of(claim.name())), now);
        for _ in 0..EVICTED_PER_CALL {
            match self.shared.claim(claim, fingerprint, unknown_outcome, now) {
                Err(full) if !self.make_room(now) => return Err(full.into()),
                Err(_) => {}
                Ok(claimed) => return Ok(claimed),
            }
        }
        Ok(self
            .shared
            .claim(claim, fingerprint, unknown_outcome, now)?)
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        let now = self.shared.clock.now();
        let Some(mut slot) = self.shared.slots.get_mut(&Key::of(claim.name())) else {
            return Ok(Renewal::Lost);
        };
        if slot.is_expired(now) {
            return Ok(Renewal::Lost);
        }
        let Some(held) = slot.in_flight_by(claim.owner()) else {
            return Ok(Renewal::Lost);
        };
        held.renew(claim, now);
        Ok(Renewal::Renewed)
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _effects: Effects,
    ) -> Result<Completion, StoreError> {
        let now = self.shared.clock.now();
        let completion = self.shared.complete(claim, record, now);
        if self.shared.keep_at_least.is_some() {
            for _ in 0..EVICTED_PER_CALL {
                if !self.shared.bounds.is_over() || !self.make_room(now) {
                    break;
                }
            }
        }
        Ok(completion)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let key = Key::of(claim.name());
        let mut changed = false;
        let released = self.shared.slots.remove_if_mut(&key, |_, slot| {
            let Some(held) = slot.in_flight_by(claim.owner()) else {
                return false;
            };
            changed = true;
            // A later fence must stay known, or the next owner would have one that was used.
            let is_first = held.is_first();
            if !is_first {
                held.abandon();
            }
            is_first
        });
        if let Some((_, slot)) = released {
            self.forget(&slot);
        }
        if changed {
            self.shared.waiters.wake(&key);
        }
        Ok(())
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        let key = Key::of(claim.name());
        let Some(mut slot) = self.shared.slots.get_mut(&key) else {
            return Ok(());
        };
        let Some(held) = slot.in_flight_by(claim.owner()) else {
            return Ok(());
        };
        held.abandon();
        drop(slot);
        self.shared.waiters.wake(&key);
        Ok(())
    }

    fn changed(&self, name: &RecordName) -> Changed {
        Arc::clone(&self.shared.waiters).wait(Key::of(name))
    }
}

impl Shared {
    fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
        now: u64,
    ) -> Result<Claimed, Full> {
        let key = Key::of(claim.name());
        let (claimed, slot_tag) = match self.unexpired(key, now) {
            Entry::Vacant(place) => {
                self.bounds.admit_claim()?;
                let slot = Slot::claimed(claim, fingerprint, now);
                let tag = slot.tag();
                place.insert(slot);
                (
                    Claimed::Acquired(crate::store::Acquired::new(1, 1)),
                    Some(tag),
                )
            }
            Entry::Occupied(mut found) => {
                let before = found.get().tag();
                let claimed = found
                    .get_mut()
                    .claim(claim, fingerprint, unknown_outcome, now);
                let after = found.get().tag();
                (claimed, (after != before).then_some(after))
            }
        };
        if let Some(tag) = slot_tag {
            let deadline = now.saturating_add(nanos(claim.lease()));
            self.queue
                .push(List::Claims, Queued { key, tag }, deadline, now);
        }
        Ok(claimed)
    }

    fn complete(&self, claim: &Claim, record: Bytes, now: u64) -> Completion {
        let key = Key::of(claim.name());
        let completed = Slot::completed(claim, record, now);
        let (expires, tag) = (completed.expires(), completed.tag());
        let was_absent = match self.unexpired(key, now) {
            Entry::Vacant(place) => {
                self.bounds.add(&completed);
                place.insert(completed);
                true
            }
            Entry::Occupied(mut found) => {
                let slot = found.get_mut();
                if slot.completed_by(claim.owner()) {
                    return Completion::Kept;
                }
                if slot.in_flight_by(claim.owner()).is_none() {
                    return Completion::Superseded;
                }
                self.bounds.replace(slot, &completed);
                *slot = completed;
                false
            }
        };
        let queued = Queued { key, tag };
        if let Some(age) = self.keep_at_least {
            self.queue.push(
                List::Young,
                queued,
                expires.min(now.saturating_add(age)),
                now,
            );
        } else if was_absent {
            self.queue.push(List::Records, queued, expires, now);
        }
        self.waiters.wake(&key);
        Completion::Kept
    }

    /// Returns the place of a key, in which nothing stands that has expired.
    fn unexpired(&self, key: Key, now: u64) -> Entry<'_, Key, Slot> {
        match self.slots.entry(key) {
            Entry::Occupied(found) if found.get().is_expired(now) => {
                self.bounds.remove(&found.remove());
                self.slots.entry(key)
            }
            entry => entry,
        }
    }
}

/// What has nothing to do with one key, but with all of them.
impl MemoryStore {
    /// Looks at a few keys that are due, and returns whether any was removed.
    fn sweep(&self, shard: usize, now: u64) -> bool {
        let mut removed = false;
        for _ in 0..SWEPT_PER_CLAIM {
            let Some((list, queued)) = self.shared.queue.pop_due(shard, now) else {
                break;
            };
            removed |= self.look_at(list, queued, now);
        }
        removed
    }

    /// Removes what has expired, or queues it again for when it will have.
    fn look_at(&self, list: List, queued: Queued, now: u64) -> bool {
        let mut next = None;
        let removed = self.shared.slots.remove_if_mut(&queued.key, |_, slot| {
            if slot.tag() != queued.tag {
                return false;
            }
            next = self.shared.next_look(list, slot, now);
            slot.is_expired(now)
        });
        if let Some((_, slot)) = removed {
            self.forget(&slot);
            return true;
        }
        if let Some((list, due)) = next {
            self.shared.queue.push(list, queued, due, now);
        }
        false
    }

    /// Removes something expired or, where that is allowed, something old, whatever its key.
    fn make_room(&self, now: u64) -> bool {
        (0..queue::SHARDS).any(|_| {
            let shard = self.shared.next_shard.fetch_add(1, Ordering::Relaxed) % queue::SHARDS;
            self.sweep(shard, now)
                || (self.shared.keep_at_least.is_some() && self.evict(shard, now))
        })
    }

    /// Forgets one of the records that stand in the list of those that were kept long enough.
    fn evict(&self, shard: usize, now: u64) -> bool {
        let Some(queued) = self.shared.queue.pop_record(shard) else {
            return false;
        };
        let mut next = None;
        let removed = self.shared.slots.remove_if_mut(&queued.key, |_, slot| {
            let is_same = slot.tag() == queued.tag;
            if is_same && slot.record_len().is_none() {
                next = self.shared.next_look(List::Records, slot, now);
            }
            is_same && slot.record_len().is_some()
        });
        if let Some((list, due)) = next {
            self.shared.queue.push(list, queued, due, now);
        }
        let Some((_, slot)) = removed else {
            return false;
        };
        if !slot.is_expired(now) {
            self.shared.bounds.count_evicted(now);
        }
        self.forget(&slot);
        true
    }

    /// Counts out what was removed. A map that was much larger once is shrunk, which takes longer
    /// than a claim may, so another thread does it.
    fn forget(&self, slot: &Slot) {
        if self.shared.bounds.remove(slot) {
            let shared = Arc::clone(&self.shared);
            let shrink = move || shared.slots.shrink_to_fit();
            // Without a thread the map stays large: no reason to fail.
            let _ = thread::Builder::new()
                .name("idempotency-shrink".into())
                .spawn(shrink);
        }
    }
}

impl Shared {
    /// Returns when a key that came up wants to be looked at again.
    fn next_look(&self, list: List, slot: &Slot, now: u64) -> Option<(List, u64)> {
        match slot {
            Slot::InFlight(held) if held.is_live(now) => Some((List::Claims, held.deadline())),
            Slot::InFlight(_) => Some((List::Claims, slot.expires())),
            // Where records may go early, completing them has queued them already.
            Slot::Completed(_) if list == List::Claims && self.keep_at_least.is_some() => None,
            Slot::Completed(_) => Some((List::Records, slot.expires())),
        }
    }
}
