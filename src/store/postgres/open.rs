use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::watch;

use super::{slot::AnySlot, tracked::Tracked, waiters::Waiters};
use crate::{
    record_name::RecordName,
    store::{Claim, OwnerToken},
};

/// The transactions of this process that have not ended.
pub(super) struct Open {
    transactions: Mutex<HashMap<Id, Entry>>,
    waiters: Arc<Waiters>,
    pub(super) deadline: Duration,
}

pub(super) type Id = (RecordName, OwnerToken);

struct Entry {
    slot: Option<Weak<dyn AnySlot>>,
    /// Changes with the slot, and closes at the end of the transaction.
    changes: watch::Sender<()>,
}

/// What is known of a claim's transaction.
pub(super) enum Known {
    Nothing,
    /// A handler has it, or may have it.
    Offered(Arc<dyn AnySlot>),
    /// It is being begun or ended.
    Busy(watch::Receiver<()>),
}

impl Open {
    pub(super) fn new(waiters: Arc<Waiters>, deadline: Duration) -> Arc<Self> {
        Arc::new(Self {
            transactions: Mutex::default(),
            waiters,
            deadline,
        })
    }

    pub(super) fn get(&self, claim: &Claim) -> Known {
        let transactions = self.lock();
        let Some(entry) = transactions.get(&id(claim)) else {
            return Known::Nothing;
        };
        let slot = entry.slot.as_ref().and_then(Weak::upgrade);
        match slot.filter(|slot| !slot.is_over()) {
            Some(slot) => Known::Offered(slot),
            None => Known::Busy(entry.changes.subscribe()),
        }
    }

    /// Begins to keep track of a claim's transaction; none, if it is tracked already.
    pub(super) fn track(self: &Arc<Self>, claim: &Claim) -> Option<Tracked> {
        use std::collections::hash_map::Entry::Vacant;

        let mut transactions = self.lock();
        let Vacant(vacant) = transactions.entry(id(claim)) else {
            return None;
        };
        vacant.insert(Entry {
            slot: None,
            changes: watch::Sender::new(()),
        });
        Some(Tracked::new(Arc::clone(self), id(claim)))
    }

    pub(super) fn offer(&self, claim: &Claim, slot: &Arc<dyn AnySlot>) {
        if let Some(entry) = self.lock().get_mut(&id(claim)) {
            entry.slot = Some(Arc::downgrade(slot));
            entry.changes.send_replace(());
        }
    }

    /// Forgets a transaction that has ended.
    pub(super) fn end(&self, id: &Id) {
        // Dropped, it tells those who wait for the end.
        let ended = self.lock().remove(id);
        drop(ended);
        self.waiters.wake(&id.0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Entry>> {
        self.transactions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(claim: &Claim) -> Id {
    (*claim.name(), *claim.owner())
}
