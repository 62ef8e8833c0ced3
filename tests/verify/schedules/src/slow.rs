use async_trait::async_trait;
use bytes::Bytes;
use shuttle::{
    future::yield_now,
    rand::{Rng, thread_rng},
};
use tower_idempotency::{
    Effects, Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError},
};

/// A memory store on whose answers one has to wait, as on a server's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slow(MemoryStore);

/// Lets others go first, or not.
async fn pause() {
    for _ in 0..thread_rng().gen_range(0..3) {
        yield_now().await;
    }
}

#[async_trait]
impl Store for Slow {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        pause().await;
        let claimed = self.0.claim(claim, fingerprint, unknown_outcome).await;
        pause().await;
        claimed
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        pause().await;
        let renewal = self.0.renew(claim).await;
        pause().await;
        renewal
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        pause().await;
        let completion = self.0.complete(claim, record, effects).await;
        pause().await;
        completion
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        pause().await;
        self.0.release(claim).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        pause().await;
        self.0.abandon(claim).await
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.0.changed(name)
    }
}
