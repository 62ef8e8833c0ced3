use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tower_idempotency::{
    Fingerprint, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Effects, Renewal, StoreError},
};

use crate::{cut::Cut, point::Point};

/// A store with a point before and after each operation.
#[derive(Clone)]
pub(crate) struct Cutting {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cut: &'static Cut,
}

#[async_trait]
impl Store for Cutting {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        self.cut.reach(Point::BeforeClaim).await;
        let claimed = self.store.claim(claim, fingerprint, unknown_outcome).await;
        self.cut.reach(Point::AfterClaim).await;
        claimed
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.cut.reach(Point::BeforeRenew).await;
        let renewed = self.store.renew(claim).await;
        self.cut.reach(Point::AfterRenew).await;
        renewed
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        self.cut.reach(Point::BeforeComplete).await;
        let completed = self.store.complete(claim, record, effects).await;
        self.cut.reach(Point::AfterComplete).await;
        completed
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.cut.reach(Point::BeforeRelease).await;
        let released = self.store.release(claim).await;
        self.cut.reach(Point::AfterRelease).await;
        released
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.cut.reach(Point::BeforeAbandon).await;
        let abandoned = self.store.abandon(claim).await;
        self.cut.reach(Point::AfterAbandon).await;
        abandoned
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.store.changed(name)
    }
}
