use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep},
};
use tower_idempotency::{
    Fingerprint, RecordName, Store, UnknownOutcome,
    store::{
        Acquired, Changed, Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreError,
    },
};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    Nothing,
    /// What is dropped stays open for ten seconds.
    RollsBackLate,
    /// A commit that is dropped half-way leaves half of a record.
    CommitIsTorn,
    /// A release takes the records of other names with it.
    ReleaseForgetsAll,
    AbandonForgetsAll,
}

/// A store whose claims are transactions, as far as memory has such: a claim is there for as long
/// as what was handed out with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transactional {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<HashMap<RecordName, OwnerToken>>,
    records: Mutex<HashMap<RecordName, (OwnerToken, Bytes, Instant)>>,
    changed: Arc<Notify>,
    /// How many were open at once, at most.
    most: AtomicUsize,
    fault: Fault,
}

/// Rolls back when the last copy is dropped.
#[derive(Debug)]
struct Transaction {
    shared: Arc<Shared>,
    name: RecordName,
    owner: OwnerToken,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.shared.fault != Fault::RollsBackLate {
            self.shared.end(&self.name, &self.owner);
            return;
        }
        let (shared, name, owner) = (Arc::clone(&self.shared), self.name, self.owner);
        tokio::spawn(async move {
            sleep(Duration::from_secs(10)).await;
            shared.end(&name, &owner);
        });
    }
}

impl Shared {
    fn end(&self, name: &RecordName, owner: &OwnerToken) -> bool {
        let mut open = self.open.lock().unwrap();
        let is_open = open.get(name) == Some(owner);
        if is_open {
            open.remove(name);
            self.changed.notify_waiters();
        }
        is_open
    }

    fn record(&self, name: &RecordName) -> Option<(OwnerToken, Bytes)> {
        let records = self.records.lock().unwrap();
        let (owner, record, expires) = records.get(name)?;
        (Instant::now() < *expires).then(|| (*owner, record.clone()))
    }
}

impl Transactional {
    pub(crate) fn with(fault: Fault) -> Self {
        let shared = Shared {
            fault,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn most(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }

    fn transaction(&self, claim: &Claim) -> Transaction {
        Transaction {
            shared: Arc::clone(&self.shared),
            name: *claim.name(),
            owner: *claim.owner(),
        }
    }

    /// Ends a claim without a record.
    fn roll_back(&self, claim: &Claim, forgets_all: Fault) {
        self.shared.end(claim.name(), claim.owner());
        if self.shared.fault == forgets_all {
            let mut records = self.shared.records.lock().unwrap();
            records.retain(|_, (owner, ..)| owner != claim.owner());
        }
    }

    fn insert(&self, claim: &Claim, record: Bytes) {
        let row = (*claim.owner(), record, Instant::now() + claim.ttl());
        let mut records = self.shared.records.lock().unwrap();
        records.insert(*claim.name(), row);
    }
}

#[async_trait::async_trait]
impl Store for Transactional {
    async fn claim(
        &self,
        claim: &Claim,
        _: &Fingerprint,
        _: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        yield_now().await;
        let mut open = self.shared.open.lock().unwrap();
        if let Some((_, record)) = self.shared.record(claim.name()) {
            return Ok(Claimed::Completed(record));
        }
        let mut acquired = Acquired::new(1, 1);
        match open.get(claim.name()) {
            Some(owner) if owner == claim.owner() => {}
            Some(_) => {
                return Ok(Claimed::Held {
                    fingerprint: None,
                    left: None,
                });
            }
            None => {
                open.insert(*claim.name(), *claim.owner());
                self.shared.most.fetch_max(open.len(), Ordering::Relaxed);
                acquired
                    .extensions
                    .insert(Arc::new(self.transaction(claim)));
            }
        }
        Ok(Claimed::Acquired(acquired))
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        let is_open = self.shared.open.lock().unwrap().get(claim.name()) == Some(claim.owner());
        Ok(if is_open {
            Renewal::Renewed
        } else {
            Renewal::Lost
        })
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _: Effects,
    ) -> Result<Completion, StoreError> {
        if let Some((owner, _)) = self.shared.record(claim.name()) {
            return Ok(if owner == *claim.owner() {
                Completion::Kept
            } else {
                Completion::Superseded
            });
        }
        let is_open = self.shared.open.lock().unwrap().get(claim.name()) == Some(claim.owner());
        if !is_open {
            return Ok(Completion::Undone);
        }
        // Dropped half-way, it is rolled back.
        let committing = self.transaction(claim);
        if self.shared.fault == Fault::CommitIsTorn {
            self.insert(claim, Bytes::new());
        }
        yield_now().await;
        self.insert(claim, record);
        drop(committing);
        Ok(Completion::Kept)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.roll_back(claim, Fault::ReleaseForgetsAll);
        Ok(())
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.roll_back(claim, Fault::AbandonForgetsAll);
        Ok(())
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(Arc::clone(&self.shared.changed).notified_owned())
    }
}
