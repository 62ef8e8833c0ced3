//! What has nothing to do with one key, but with all of them: expiry, and room at the bound.

use std::{sync::Arc, thread};

use super::{
    calendar::Entry as Queued,
    queue::{self, List},
    shared::Shared,
    slot::Slot,
};

/// How many due keys a claim looks at. A key comes up four times in its life at most, so with four
/// the sweeping keeps up.
const SWEPT_PER_CLAIM: usize = 4;

/// How many due keys a claim looks at before it is refused at the bound.
const SWEPT_AT_BOUND: usize = 4096;

impl Shared {
    /// Looks at a few keys that are due.
    pub(super) fn sweep(self: &Arc<Self>, shard: usize, now: u64) {
        for _ in 0..SWEPT_PER_CLAIM {
            let Some((list, queued)) = self.queue.pop_due(shard, now) else {
                break;
            };
            self.look_at(list, queued, now);
        }
    }

    /// Removes what has expired, or queues it again for when it will have.
    fn look_at(self: &Arc<Self>, list: List, queued: Queued, now: u64) -> bool {
        let mut next = None;
        let removed = self.slots.remove_if_mut(&queued.key, |_, slot| {
            if slot.tag() != queued.tag {
                return false;
            }
            next = self.next_look(list, slot, now);
            slot.is_expired(now)
        });
        if let Some((_, slot)) = removed {
            self.forget(&slot);
            return true;
        }
        if let Some((list, due)) = next {
            self.queue.push(list, queued, due, now);
        }
        false
    }

    /// Removes something expired or, where that is allowed, something old, whatever its key.
    pub(super) fn make_room(self: &Arc<Self>, now: u64) -> bool {
        let mut looks = SWEPT_AT_BOUND;
        (0..queue::SHARDS).any(|_| {
            let shard = self.next_shard();
            while looks > 0 {
                let Some((list, queued)) = self.queue.pop_due(shard, now) else {
                    break;
                };
                looks -= 1;
                if self.look_at(list, queued, now) {
                    return true;
                }
            }
            self.keep_at_least.is_some() && self.evict(shard, now)
        })
    }

    /// Forgets one of the records that stand in the list of those that were kept long enough.
    fn evict(self: &Arc<Self>, shard: usize, now: u64) -> bool {
        let Some(queued) = self.queue.pop_record(shard) else {
            return false;
        };
        let mut next = None;
        let removed = self.slots.remove_if_mut(&queued.key, |_, slot| {
            let is_same = slot.tag() == queued.tag;
            if is_same && slot.record_len().is_none() {
                next = self.next_look(List::Records, slot, now);
            }
            is_same && slot.record_len().is_some()
        });
        if let Some((list, due)) = next {
            self.queue.push(list, queued, due, now);
        }
        let Some((_, slot)) = removed else {
            return false;
        };
        if !slot.is_expired(now) {
            self.bounds().count_evicted(now);
        }
        self.forget(&slot);
        true
    }

    /// Counts out what was removed. A map that was much larger once is shrunk, which takes longer
    /// than a claim may, so another thread does it.
    pub(super) fn forget(self: &Arc<Self>, slot: &Slot) {
        if self.bounds().remove(slot) {
            let shared = Arc::clone(self);
            let shrink = move || shared.slots.shrink_to_fit();
            // Without a thread the map stays large: no reason to fail.
            let _ = thread::Builder::new()
                .name("idempotency-shrink".into())
                .spawn(shrink);
        }
    }

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
