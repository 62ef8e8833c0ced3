use std::{env, sync::Arc, thread, time::Duration};

#[cfg(feature = "redis")]
use super::redis_store::patient;
use bytes::Bytes;
use tokio::{sync::OnceCell, time::Instant};
#[cfg(feature = "postgres")]
use tower_idempotency::PostgresStore;
#[cfg(feature = "sqlite")]
use tower_idempotency::SqliteStore;
use tower_idempotency::{
    Effects, Fingerprint, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError},
};
use uuid::Uuid;

/// The store that `WIRE_STORE` names, opened when it is first asked, with nothing in it.
pub(crate) struct Backing {
    url: String,
    id: Uuid,
    store: OnceCell<Arc<dyn Store>>,
}

impl Backing {
    /// Makes one, where `WIRE_STORE` has a URL. Servers and files know nothing of paused time:
    /// tests that pause it do without.
    pub(crate) fn of_environment() -> Option<Arc<Self>> {
        let url = env::var("WIRE_STORE").ok()?;
        (!is_time_paused()).then(|| {
            Arc::new(Self {
                url,
                id: Uuid::new_v4(),
                store: OnceCell::new(),
            })
        })
    }

    async fn store(&self) -> &Arc<dyn Store> {
        self.store.get_or_init(|| self.open()).await
    }

    async fn open(&self) -> Arc<dyn Store> {
        match self.url.split_once(':') {
            #[cfg(feature = "redis")]
            Some(("redis" | "unix", _)) => {
                let builder = patient().prefix(format!("{}:", self.id));
                Arc::new(
                    builder
                        .connect(&self.url)
                        .await
                        .expect("WIRE_STORE answers"),
                )
            }
            #[cfg(feature = "postgres")]
            Some(("postgres", _)) => {
                let table = format!("idempotency_{}", self.id.simple());
                let builder = PostgresStore::builder().table(table);
                let store = builder.connect(&self.url).await;
                let store = store.expect("WIRE_STORE answers");
                store.migrate().await.expect("WIRE_STORE may be written to");
                Arc::new(store)
            }
            #[cfg(feature = "sqlite")]
            Some(("sqlite", directory)) => {
                let path = format!("{directory}/{}.db", self.id);
                Arc::new(SqliteStore::open(path).await.expect("WIRE_STORE is there"))
            }
            _ => panic!("WIRE_STORE is for a store that this build does not know"),
        }
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
