use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{
    calendar::{Calendar, Entry},
    key::Key,
};

/// The keys that want to be looked at some day, so that no sweep needs to walk the map.
///
/// Every slot has one entry here, which moves with it: from [`List::Claims`], due when the lease
/// ends, to [`List::Records`], due when the record expires. Entries whose slot is gone are dropped
/// when they come up.
pub(super) struct Queue {
    shards: Box<[Shard]>,
}

/// Which list an entry stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Claims, due when their lease ends, or when they expire.
    Claims,
    /// Records that may not go early yet, due when they may.
    Young,
    /// Records, due when they expire.
    Records,
}

const LISTS: [List; 3] = [List::Claims, List::Young, List::Records];
pub(super) const SHARDS: usize = 64;

struct Shard {
    /// When the next entry is due: claims read it without the lock.
    next_due: AtomicU64,
    lists: Mutex<[Calendar; LISTS.len()]>,
}

impl Queue {
    pub(super) fn new() -> Self {
        let shard = || Shard {
            next_due: AtomicU64::new(u64::MAX),
            lists: Mutex::default(),
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    pub(super) fn push(&self, list: List, entry: Entry, due: u64, now: u64) {
        let shard = &self.shards[Self::shard_of(&entry.key)];
        let mut lists = shard.lock();
        lists[list as usize].push(entry, due, now);
        shard.update(&lists);
    }

    /// Takes an entry that is due, from one shard.
    pub(super) fn pop_due(&self, shard: usize, now: u64) -> Option<(List, Entry)> {
        let shard = &self.shards[shard];
        if shard.next_due.load(Ordering::Relaxed) > now {
            return None;
        }
        let mut lists = shard.lock();
        let list = LISTS
            .into_iter()
            .min_by_key(|list| lists[*list as usize].next_due())?;
        if lists[list as usize].next_due() > now {
            return None;
        }
        let entry = lists[list as usize].pop();
        shard.update(&lists);
        Some((list, entry?))
    }

    /// Takes the record that expires next, due or not, from one shard.
    pub(super) fn pop_record(&self, shard: usize) -> Option<Entry> {
        let shard = &self.shards[shard];
        let mut lists = shard.lock();
        let entry = lists[List::Records as usize].pop();
        shard.update(&lists);
        entry
    }

    pub(super) fn len(&self) -> usize {
        let lens = |shard: &Shard| shard.lock().iter().map(Calendar::len).sum::<usize>();
        self.shards.iter().map(lens).sum()
    }

    pub(super) fn shard_of(key: &Key) -> usize {
        key.part(SHARDS)
    }
}

impl Shard {
    /// A panic cannot leave a calendar half changed, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, [Calendar; LISTS.len()]> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, lists: &[Calendar; LISTS.len()]) {
        let next = lists
            .iter()
            .map(Calendar::next_due)
            .min()
            .unwrap_or(u64::MAX);
        self.next_due.store(next, Ordering::Relaxed);
    }
}
