use std::{env, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use tokio::{sync::OnceCell, time::Instant};
use tower_idempotency::{
    Effects, Fingerprint, RecordName, RedisStore, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError},
};
use uuid::Uuid;

/// A Redis store that connects when it is first asked, under a prefix of its own.
pub(crate) struct Backing {
    url: String,
    prefix: String,
    store: OnceCell<RedisStore>,
}

impl Backing {
    /// Makes one, where `WIRE_REDIS` has a URL. Redis knows nothing of paused time: tests that
    /// pause it do without.
    pub(crate) fn of_environment() -> Option<Arc<Self>> {
        let url = env::var("WIRE_REDIS").ok()?;
        (!is_time_paused()).then(|| {
            Arc::new(Self {
                url,
                prefix: format!("{}:", Uuid::new_v4()),
                store: OnceCell::new(),
            })
        })
    }

    async fn store(&self) -> &RedisStore {
        let connect = || async {
            let builder = RedisStore::builder().prefix(&self.prefix);
            builder
                .connect(&self.url)
                .await
                .expect("WIRE_REDIS answers")
        };
        self.store.get_or_init(connect).await
    }
}

fn is_time_paused() -> bool {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(1));
    start.elapsed().is_zero()
}

#[async_trait::async_trait]
impl Store for Backing {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let store = self.store().await;
        store.claim(claim, fingerprint, unknown_outcome).await
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.store().await.renew(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        self.store().await.complete(claim, record, effects).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.store().await.release(claim).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.store().await.abandon(claim).await
    }

    fn changed(&self, name: &RecordName) -> Changed {
        let store = self.store.get().expect("a claim was first");
        store.changed(name)
    }
}
