use std::{
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use dashmap::{DashMap, Entry};

use super::{
    bounds::{Bounds, Full},
    calendar::Entry as Queued,
    clock::{Clock, nanos},
    key::Key,
    queue::{self, List, Queue},
    slot::Slot,
    waiters::Waiters,
};
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    record_name::RecordName,
    store::{Acquired, Changed, Claim, Claimed, Completion, Renewal},
};

/// What all clones of a store share, and what it does under one key.
pub(super) struct Shared {
    /// No guard of this map leaves the function that looked for it, and none is held while the map
    /// is looked at again: either could lock up.
    pub(super) slots: DashMap<Key, Slot, RandomState>,
    pub(super) queue: Queue,
    pub(super) keep_at_least: Option<u64>,
    bounds: Bounds,
    waiters: Arc<Waiters>,
    clock: Clock,
    /// The shard of the queue that makes room next.
    next_shard: AtomicUsize,
}

/// So many that growing one of them, with ten million keys in all, takes less than a millisecond.
const MAP_SHARDS: usize = 1024;

/// When a claim is looked at first, at the latest: one that was released is forgotten then, however
/// long its lease.
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// How many records may be forgotten to make room for one new one.
const EVICTED_PER_CALL: usize = 64;

impl Shared {
    pub(super) fn new(bounds: Bounds, keep_at_least: Option<Duration>) -> Self {
        Self {
            slots: DashMap::with_hasher_and_shard_amount(RandomState::new(), MAP_SHARDS),
            queue: Queue::new(),
            keep_at_least: keep_at_least.map(nanos),
            bounds,
            waiters: Arc::new(Waiters::new()),
            clock: Clock::start(),
            next_shard: AtomicUsize::new(0),
        }
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    pub(super) fn wake(&self, key: &Key) {
        self.waiters.wake(key);
    }

    pub(super) fn next_shard(&self) -> usize {
        self.next_shard.fetch_add(1, Ordering::Relaxed) % queue::SHARDS
    }

    pub(super) fn claim(
        self: &Arc<Self>,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Full> {
        let now = self.clock.now();
        self.sweep(Queue::shard_of(&Key::of(claim.name())), now);
        let mut evicted = 0;
        loop {
            match self.try_claim(claim, fingerprint, unknown_outcome, now) {
                Err(_) if evicted < EVICTED_PER_CALL && self.make_room(now) => evicted += 1,
                result => return result,
            }
        }
    }

    fn try_claim(
        self: &Arc<Self>,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
        now: u64,
    ) -> Result<Claimed, Full> {
        let key = Key::of(claim.name());
        let (claimed, new_tag) = match self.unexpired(key, now) {
            Entry::Vacant(place) => {
                self.bounds.admit_claim()?;
                let slot = Slot::claimed(claim, fingerprint, now);
                let tag = slot.tag();
                place.insert(slot);
                (Claimed::Acquired(Acquired::new(1, 1)), Some(tag))
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
        if let Some(tag) = new_tag {
            let due = now.saturating_add(nanos(claim.lease().min(FIRST_LOOK)));
            self.queue.push(List::Claims, Queued { key, tag }, due, now);
        }
        Ok(claimed)
    }

    pub(super) fn renew(&self, claim: &Claim) -> Renewal {
        let now = self.clock.now();
        let Some(mut slot) = self.slots.get_mut(&Key::of(claim.name())) else {
            return Renewal::Lost;
        };
        if slot.is_expired(now) {
            return Renewal::Lost;
        }
        let Some(held) = slot.in_flight_by(claim.owner()) else {
            return Renewal::Lost;
        };
        held.renew(claim, now);
        Renewal::Renewed
    }

    pub(super) fn complete(self: &Arc<Self>, claim: &Claim, record: Bytes) -> Completion {
        let now = self.clock.now();
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
        self.queue_record(Queued { key, tag }, expires, was_absent, now);
        self.waiters.wake(&key);
        Completion::Kept
    }

    /// Queues a record where its claim's place in the queue will not do, and lets old ones go.
    pub(super) fn queue_record(
        self: &Arc<Self>,
        queued: Queued,
        expires: u64,
        is_new: bool,
        now: u64,
    ) {
        let Some(age) = self.keep_at_least else {
            if is_new {
                self.queue.push(List::Records, queued, expires, now);
            }
            return;
        };
        self.queue.push(
            List::Young,
            queued,
            expires.min(now.saturating_add(age)),
            now,
        );
        for _ in 0..EVICTED_PER_CALL {
            if !self.bounds.is_over() || !self.make_room(now) {
                break;
            }
        }
    }

    pub(super) fn release(self: &Arc<Self>, claim: &Claim) {
        let key = Key::of(claim.name());
        let mut changed = false;
        let released = self.slots.remove_if_mut(&key, |_, slot| {
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
            self.waiters.wake(&key);
        }
    }

    pub(super) fn abandon(&self, claim: &Claim) {
        let key = Key::of(claim.name());
        let Some(mut slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(held) = slot.in_flight_by(claim.owner()) else {
            return;
        };
        held.abandon();
        drop(slot);
        self.waiters.wake(&key);
    }

    pub(super) fn changed(&self, name: &RecordName) -> Changed {
        Arc::clone(&self.waiters).wait(Key::of(name))
    }

    pub(super) fn waited_for(&self) -> usize {
        self.waiters.keys()
    }

    /// Returns the place of a key, in which nothing stands that has expired.
    fn unexpired(self: &Arc<Self>, key: Key, now: u64) -> Entry<'_, Key, Slot> {
        match self.slots.entry(key) {
            Entry::Occupied(found) if found.get().is_expired(now) => {
                self.forget(&found.remove());
                self.slots.entry(key)
            }
            entry => entry,
        }
    }
}
