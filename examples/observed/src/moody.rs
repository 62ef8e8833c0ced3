use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tower_idempotency::{
    Effects, Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError, StoreErrorKind},
};

/// A store that is out of reach for a while in every period, and damages a record now and then.
#[derive(Clone)]
pub(crate) struct Moody {
    memory: MemoryStore,
    period: Duration,
    began: Instant,
}

impl Moody {
    pub(crate) fn new(memory: MemoryStore, period: Duration) -> Self {
        let began = Instant::now();
        Self {
            memory,
            period,
            began,
        }
    }

    /// Down from a twentieth of each period to somewhat under a half.
    async fn answer(&self) -> Result<(), StoreError> {
        let now = self.began.elapsed().as_millis() % self.period.as_millis();
        let thousandths = now * 1000 / self.period.as_millis();
        if !(50..450).contains(&thousandths) {
            return Ok(());
        }
        sleep(Duration::from_millis(150)).await;
        Err(StoreError::new(StoreErrorKind::Unavailable, "a bad mood"))
    }
}

#[async_trait]
impl Store for Moody {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        self.answer().await?;
        if claim.name().as_bytes()[0] < 6 {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "a bad sector"));
        }
        self.memory.claim(claim, fingerprint, unknown_outcome).await
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.answer().await?;
        self.memory.renew(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        self.answer().await?;
        self.memory.complete(claim, record, effects).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.answer().await?;
        self.memory.release(claim).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.answer().await?;
        self.memory.abandon(claim).await
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.memory.changed(name)
    }
}
