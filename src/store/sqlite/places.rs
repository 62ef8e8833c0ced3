use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::transaction::{Inner, SqliteTransaction};
use crate::{
    fingerprint::Fingerprint,
    record_name::RecordName,
    store::{Claim, OwnerToken, keys::Keys},
};

/// The names for which this process has a transaction, or waits to have one. A duplicate finds
/// its name here, and does not queue.
pub(super) struct Places {
    names: Mutex<HashMap<RecordName, Taken>>,
    keys: Arc<Keys<RecordName>>,
}

struct Taken {
    owner: OwnerToken,
    fingerprint: Fingerprint,
    /// How often the owner asked, or asked again.
    places: usize,
    transaction: Weak<Inner>,
}

/// What there is to do for a claim.
pub(super) enum Entered {
    /// To queue.
    Queue(Place),
    /// Nothing: it has its transaction.
    Open(SqliteTransaction),
    /// Nothing: another has the name.
    Held(Fingerprint),
}

impl Places {
    pub(super) fn new(keys: Arc<Keys<RecordName>>) -> Self {
        Self {
            names: Mutex::default(),
            keys,
        }
    }

    pub(super) fn enter(self: &Arc<Self>, claim: &Claim, fingerprint: &Fingerprint) -> Entered {
        let mut names = self.lock();
        let taken = match names.entry(*claim.name()) {
            Entry::Occupied(taken) => taken.into_mut(),
            Entry::Vacant(free) => free.insert(Taken {
                owner: *claim.owner(),
                fingerprint: *fingerprint,
                places: 0,
                transaction: Weak::new(),
            }),
        };
        if taken.owner != *claim.owner() {
            return Entered::Held(taken.fingerprint);
        }
        if let Some(inner) = taken.transaction.upgrade() {
            return Entered::Open(SqliteTransaction::of(inner));
        }
        taken.places += 1;
        Entered::Queue(Place {
            places: Arc::clone(self),
            name: *claim.name(),
        })
    }

    /// Returns the open transaction of a claim.
    pub(super) fn transaction(&self, claim: &Claim) -> Option<Arc<Inner>> {
        let names = self.lock();
        let taken = names.get(claim.name())?;
        (taken.owner == *claim.owner()).then(|| taken.transaction.upgrade())?
    }

    pub(super) fn is_taken(&self, name: &RecordName) -> bool {
        self.lock().contains_key(name)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordName, Taken>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is taken until this is dropped, which wakes who waits for it.
pub(super) struct Place {
    places: Arc<Places>,
    name: RecordName,
}

impl Place {
    pub(super) fn open(&self, transaction: &Arc<Inner>) {
        if let Some(taken) = self.places.lock().get_mut(&self.name) {
            taken.transaction = Arc::downgrade(transaction);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut names = self.places.lock();
        if let Entry::Occupied(mut taken) = names.entry(self.name) {
            taken.get_mut().places -= 1;
            if taken.get().places == 0 {
                taken.remove();
            }
        }
        drop(names);
        self.places.keys.wake(&self.name);
    }
}
