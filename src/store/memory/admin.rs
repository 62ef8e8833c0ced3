//! What operators ask for.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    MemoryStore,
    calendar::Entry as Queued,
    key::Key,
    queue::{List as Queue, Place},
    shared::Shared,
    slot::Slot,
};
use crate::{
    admin::{Admin, Entry, Force, Forgotten, List, Page, Repair, Repaired},
    events,
    record_name::RecordName,
    store::StoreError,
};

impl Shared {
    /// Looks at what has not expired.
    fn look<T>(&self, name: &RecordName, look: impl FnOnce(&Slot, u64) -> T) -> Option<T> {
        let now = self.now();
        let slot = self.slots.get_mut(&Key::of(name))?;
        (!slot.is_expired(now)).then(|| look(&slot, now))
    }

    fn forget_by_hand(self: &Arc<Self>, name: &RecordName, force: Force) -> Forgotten {
        let (now, key) = (self.now(), Key::of(name));
        let mut forgotten = Forgotten::Absent;
        let removed = self.slots.remove_if_mut(&key, |_, slot| {
            if slot.is_live(now) && force == Force::No {
                forgotten = Forgotten::InFlight;
                return false;
            }
            if !slot.is_expired(now) {
                forgotten = Forgotten::Forgotten;
            }
            true
        });
        if let Some((_, slot)) = removed {
            self.forget(&slot);
            self.wake(&key);
        }
        forgotten
    }

    fn repair(self: &Arc<Self>, repair: &Repair) -> Repaired {
        let (now, key) = (self.now(), Key::of(repair.name()));
        let found = self.slots.get_mut(&key);
        let Some(mut slot) = found.filter(|slot| !slot.is_expired(now)) else {
            return Repaired::Absent;
        };
        match &*slot {
            Slot::Completed(_) if slot.completed_by(repair.owner()) => return Repaired::Recorded,
            Slot::Completed(_) => return Repaired::Completed,
            Slot::InFlight(held) if held.is_live(now) => return Repaired::InFlight,
            Slot::InFlight(held) if !held.is_repaired_by(repair) => return Repaired::Changed,
            Slot::InFlight(_) => {}
        }
        let completed = Slot::completed(repair.claim(), repair.record().clone(), now);
        let (expires, tag) = (completed.expires(), completed.tag());
        self.bounds().replace(&slot, &completed);
        *slot = completed;
        drop(slot);
        // As if it were new: what stands in the queue for the claim bears its owner's tag.
        self.queue_record(Queued { key, tag }, expires, true, now);
        self.wake(&key);
        Repaired::Recorded
    }

    fn list(&self, list: &List) -> Page {
        let now = self.now();
        let mut next = match list.begins_at() {
            Some(cursor) => Place::of_cursor(cursor),
            None => Some(Place::FIRST),
        };
        let mut entries = Vec::new();
        let mut looked_at = 0;
        while let Some(place) = next {
            if looked_at >= list.keys() {
                break;
            }
            let mut queued = Vec::new();
            next = self.queue.read(place, &mut queued, list.keys() - looked_at);
            looked_at += queued.len();
            let listed = queued
                .iter()
                .filter_map(|queued| self.listed(place.list, queued, now));
            entries.extend(listed);
        }
        list.page(entries, 0, next.map(Place::to_cursor))
    }

    /// Returns what a place in the queue stands for, unless another stands for it too.
    fn listed(&self, list: Queue, queued: &Queued, now: u64) -> Option<Entry> {
        let slot = self.slots.get_mut(&queued.key)?;
        // Where records may go early, completing them has queued them again.
        let is_twice = list == Queue::Claims
            && self.keep_at_least.is_some()
            && matches!(*slot, Slot::Completed(_));
        // A claim that was taken over may be queued where the listing has been: its former owner's
        // place tells of it too.
        let is_former = slot.tag() != queued.tag
            && !(list == Queue::Claims && matches!(*slot, Slot::InFlight(_)));
        if is_former || slot.is_expired(now) || is_twice {
            return None;
        }
        Some(slot.entry(&RecordName::beginning(queued.key.as_bytes()), now))
    }
}

#[async_trait]
impl Admin for MemoryStore {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        events::looked_at(name);
        Ok(self.shared.look(name, |slot, now| slot.entry(name, now)))
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        events::response_shown(name);
        let record = self.shared.look(name, |slot, _| slot.record().cloned());
        Ok(record.flatten())
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        let forgotten = self.shared.forget_by_hand(name, force);
        events::forgotten(name, force, forgotten);
        Ok(forgotten)
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        let repaired = self.shared.repair(repair);
        events::repaired(repair, repaired);
        Ok(repaired)
    }

    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        let page = self.shared.list(list);
        events::listed(&page);
        Ok(page)
    }
}
