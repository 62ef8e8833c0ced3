use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{
    calendar::{Calendar, Entry},
    key::Key,
};
use crate::admin::Cursor;

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

/// A place in the queue, in the order in which it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    shard: usize,
    pub(super) list: List,
    due: u64,
    offset: usize,
}

impl Place {
    pub(super) const FIRST: Self = Self {
        shard: 0,
        list: List::Claims,
        due: 0,
        offset: 0,
    };

    fn next_list(self) -> Option<Self> {
        let (shard, list) = match self.list {
            List::Claims => (self.shard, List::Young),
            List::Young => (self.shard, List::Records),
            List::Records => (self.shard + 1, List::Claims),
        };
        (shard < SHARDS).then_some(Self {
            shard,
            list,
            ..Self::FIRST
        })
    }

    pub(super) fn to_cursor(self) -> Cursor {
        let mut bytes = [0; Cursor::LEN];
        bytes[0] = u8::try_from(self.shard).expect("there are 64 shards");
        bytes[1] = self.list as u8;
        bytes[2..10].copy_from_slice(&self.due.to_be_bytes());
        bytes[10..18].copy_from_slice(&(self.offset as u64).to_be_bytes());
        Cursor::from_bytes(bytes)
    }

    /// Reads a cursor; none, if it is no place that there is.
    pub(super) fn of_cursor(cursor: &Cursor) -> Option<Self> {
        let [shard, list, rest @ ..] = cursor.as_bytes();
        let (due, rest) = rest.split_first_chunk()?;
        let offset = u64::from_be_bytes(*rest.first_chunk()?);
        let place = Self {
            shard: usize::from(*shard),
            list: *LISTS.get(usize::from(*list))?,
            due: u64::from_be_bytes(*due),
            offset: usize::try_from(offset).ok()?,
        };
        (place.shard < SHARDS).then_some(place)
    }
}

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

    /// Adds keys of one list to a page, from a place on and until it is full; returns the place at
    /// which the next page begins.
    ///
    /// A key moves from list to list in their order, so that who reads them in that order meets it;
    /// but not a key that is moved at that very moment.
    pub(super) fn read(&self, place: Place, page: &mut Vec<Entry>, limit: usize) -> Option<Place> {
        let lists = self.shards[place.shard].lock();
        let from = (place.due, place.offset);
        if let Some((due, offset)) = lists[place.list as usize].read(from, page, limit) {
            return Some(Place {
                due,
                offset,
                ..place
            });
        }
        place.next_list()
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
