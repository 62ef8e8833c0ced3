use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};
use tower_idempotency::{
    Fingerprint, RecordName, Store, UnknownOutcome,
    store::{
        Acquired, Changed, Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreError,
    },
};

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
    /// A fault: dropped transactions stay open.
    leaks: bool,
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
        if !self.shared.leaks {
            self.shared.end(&self.name, &self.owner);
        }
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
    pub(crate) fn leaking() -> Self {
        let shared = Shared {
            leaks: true,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
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
                acquired.extensions.insert(Arc::new(Transaction {
                    shared: Arc::clone(&self.shared),
                    name: *claim.name(),
                    owner: *claim.owner(),
                }));
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
        let row = (*claim.owner(), record, Instant::now() + claim.ttl());
        self.shared
            .records
            .lock()
            .unwrap()
            .insert(*claim.name(), row);
        self.shared.end(claim.name(), claim.owner());
        Ok(Completion::Kept)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.shared.end(claim.name(), claim.owner());
        Ok(())
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.shared.end(claim.name(), claim.owner());
        Ok(())
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(Arc::clone(&self.shared.changed).notified_owned())
    }
}
