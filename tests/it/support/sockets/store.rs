use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use tower_idempotency::{
    Effects, Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError},
};

use super::{Gate, Probe, Step};

/// A memory store that tells what is asked of it, takes its time, and stops where it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    store: Arc<MemoryStore>,
    probe: Probe,
    pause: Duration,
    /// What claims pass.
    pub(crate) claims: Gate,
    /// What releases pass.
    pub(crate) releases: Gate,
}

impl Staged {
    pub(crate) fn new(probe: &Probe) -> Self {
        Self {
            store: Arc::default(),
            probe: probe.clone(),
            pause: Duration::ZERO,
            claims: Gate::new_open(),
            releases: Gate::new_open(),
        }
    }

    /// Takes so long for every claim and completion.
    pub(crate) fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    async fn take_time(&self) {
        if !self.pause.is_zero() {
            sleep(self.pause).await;
        }
    }
}

#[async_trait]
impl Store for Staged {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        self.probe.note(Step::ClaimBegins);
        let claimed = self.store.claim(claim, fingerprint, unknown_outcome).await;
        self.take_time().await;
        self.claims.pass().await;
        self.probe.note(Step::ClaimEnds);
        claimed
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.store.renew(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        self.probe.note(Step::CompleteBegins);
        self.take_time().await;
        let completion = self.store.complete(claim, record, effects).await;
        self.probe.note(Step::CompleteEnds);
        completion
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.probe.note(Step::ReleaseBegins);
        self.releases.pass().await;
        let released = self.store.release(claim).await;
        self.probe.note(Step::Released);
        released
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        let abandoned = self.store.abandon(claim).await;
        self.probe.note(Step::Abandoned);
        abandoned
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.store.changed(name)
    }
}
