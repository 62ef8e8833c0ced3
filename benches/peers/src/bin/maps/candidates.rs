use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Mutex,
};

use bytes::Bytes;
use dashmap::DashMap;

/// As `MemoryStore` shards.
const SHARDS: usize = 1024;
const RECORD: usize = 423;

type Key = [u8; 16];

/// As large as what `MemoryStore` keeps for each key.
#[derive(Clone)]
pub(crate) enum Slot {
    InFlight(Box<[u8; 88]>),
    Completed { record: Bytes, _rest: [u64; 2] },
}

impl Slot {
    fn in_flight() -> Self {
        Self::InFlight(Box::new([7; 88]))
    }

    fn completed() -> Self {
        let record = Bytes::from(vec![7; RECORD]);
        Self::Completed {
            record,
            _rest: [7; 2],
        }
    }

    fn record(&self) -> Option<Bytes> {
        match self {
            Self::InFlight(claim) => (claim[0] == 0).then(Bytes::new),
            Self::Completed { record, .. } => Some(record.clone()),
        }
    }
}

/// What `MemoryStore` asks of its map: each is one atomic step on one key.
pub(crate) trait Candidate: Sync {
    /// Puts a claim where nothing is.
    fn claim(&self, key: Key);
    /// Puts a record where a claim is.
    fn complete(&self, key: Key);
    fn replay(&self, key: Key) -> Option<Bytes>;
}

pub(crate) const CANDIDATES: [(&str, fn() -> Box<dyn Candidate>); 4] = [
    ("dashmap 6", || {
        let hasher = RandomState::new();
        Box::new(DashMap::<Key, Slot>::with_hasher_and_shard_amount(
            hasher, SHARDS,
        ))
    }),
    ("scc 3", || Box::new(scc::HashMap::<Key, Slot>::new())),
    ("papaya 0.2", || {
        Box::new(papaya::HashMap::<Key, Slot>::new())
    }),
    ("Mutex<std HashMap>", || Box::new(Sharded::new())),
];

impl Candidate for DashMap<Key, Slot> {
    fn claim(&self, key: Key) {
        self.entry(key).or_insert_with(Slot::in_flight);
    }

    fn complete(&self, key: Key) {
        if let Some(mut slot) = self.get_mut(&key) {
            *slot = Slot::completed();
        }
    }

    fn replay(&self, key: Key) -> Option<Bytes> {
        self.get(&key)?.record()
    }
}

impl Candidate for scc::HashMap<Key, Slot> {
    fn claim(&self, key: Key) {
        self.entry_sync(key).or_insert_with(Slot::in_flight);
    }

    fn complete(&self, key: Key) {
        self.update_sync(&key, |_, slot| *slot = Slot::completed());
    }

    fn replay(&self, key: Key) -> Option<Bytes> {
        self.read_sync(&key, |_, slot| slot.record())?
    }
}

/// Values of this map are never changed in place: it reads without a lock.
impl Candidate for papaya::HashMap<Key, Slot> {
    fn claim(&self, key: Key) {
        self.pin().get_or_insert_with(key, Slot::in_flight);
    }

    fn complete(&self, key: Key) {
        let completed = Slot::completed();
        self.pin().update(key, |_| completed.clone());
    }

    fn replay(&self, key: Key) -> Option<Bytes> {
        self.pin().get(&key)?.record()
    }
}

/// The least that would do, of the standard library alone.
struct Sharded {
    shards: Box<[Mutex<HashMap<Key, Slot>>]>,
    hasher: RandomState,
}

impl Sharded {
    fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Does something under the lock. The key is hashed twice: the map does so by itself again.
    fn with<T>(&self, key: &Key, work: impl FnOnce(&mut HashMap<Key, Slot>) -> T) -> T {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        work(&mut self.shards[shard].lock().expect("no panic"))
    }
}

impl Candidate for Sharded {
    fn claim(&self, key: Key) {
        self.with(&key, |map| {
            map.entry(key).or_insert_with(Slot::in_flight);
        });
    }

    fn complete(&self, key: Key) {
        self.with(&key, |map| {
            if let Some(slot) = map.get_mut(&key) {
                *slot = Slot::completed();
            }
        });
    }

    fn replay(&self, key: Key) -> Option<Bytes> {
        self.with(&key, |map| map.get(&key)?.record())
    }
}
