use std::{
    future,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use tower_idempotency::{
    Effects, Fingerprint, RecordName, Store, UnknownOutcome,
    store::{Acquired, Changed, Claim, Claimed, Completion, Renewal, StoreError},
};

/// A store that remembers what it was asked last, and answers with a record where it has one.
#[derive(Clone, Default)]
pub struct Canned {
    asked: Arc<Mutex<Option<Asked>>>,
    record: Option<Arc<dyn Fn(&Asked) -> Bytes + Send + Sync>>,
}

/// What identifies a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: RecordName,
    pub fingerprint: Fingerprint,
}

impl Canned {
    /// Answers every claim with this record.
    pub fn with(record: impl Fn(&Asked) -> Bytes + Send + Sync + 'static) -> Self {
        Self {
            record: Some(Arc::new(record)),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn take(&self) -> Option<Asked> {
        self.asked.lock().unwrap().take()
    }
}

#[async_trait]
impl Store for Canned {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        _: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let asked = Asked {
            name: *claim.name(),
            fingerprint: *fingerprint,
        };
        *self.asked.lock().unwrap() = Some(asked);
        Ok(match &self.record {
            Some(record) => Claimed::Completed(record(&asked)),
            None => Claimed::Acquired(Acquired::new(1, 1)),
        })
    }

    async fn renew(&self, _: &Claim) -> Result<Renewal, StoreError> {
        Ok(Renewal::Renewed)
    }

    async fn complete(&self, _: &Claim, _: Bytes, _: Effects) -> Result<Completion, StoreError> {
        Ok(Completion::Kept)
    }

    async fn release(&self, _: &Claim) -> Result<(), StoreError> {
        Ok(())
    }

    async fn abandon(&self, _: &Claim) -> Result<(), StoreError> {
        Ok(())
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(future::pending())
    }
}
