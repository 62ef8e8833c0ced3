//! Every store is an `Admin` that keeps its contract.

use std::sync::Arc;

use tower_idempotency::{
    Admin, MemoryStore, Store,
    testing::{Capabilities, admin_conformance},
};

#[tokio::test(start_paused = true)]
async fn the_memory_store_may_be_looked_into_and_mended() {
    let store = MemoryStore::new();
    admin_conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_may_be_looked_into_in_real_time() {
    let store = MemoryStore::new();
    admin_conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

trait Both: Store + Admin {}
impl<T: Store + Admin> Both for T {}

#[tokio::test(start_paused = true)]
async fn a_shared_dyn_store_may_be_looked_into_and_mended() {
    let store: Arc<dyn Both> = Arc::new(MemoryStore::new());
    admin_conformance(|| async { Arc::clone(&store) }, Capabilities::durable())
        .await
        .unwrap();
}

#[cfg(feature = "encryption")]
#[tokio::test(start_paused = true)]
async fn an_encrypted_store_may_be_looked_into_and_mended() {
    use tower_idempotency::store::{Encrypted, KeyRing};

    let store = Encrypted::new(MemoryStore::new(), KeyRing::new(1, &[1; 32]));
    admin_conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[cfg(all(unix, feature = "redis"))]
mod redis {
    use super::*;
    use crate::support::{redis::RedisServer, redis_store::patient};
    use tower_idempotency::RedisStore;

    async fn connect(url: &str) -> RedisStore {
        patient().connect(url).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_redis_store_may_be_looked_into_and_mended_on_every_version() {
        for server in RedisServer::of_every_version() {
            let url = server.url();
            let factory = || connect(&url);
            let kept = admin_conformance(factory, Capabilities::durable()).await;
            kept.unwrap_or_else(|violations| panic!("{}: {violations}", server.version()));
        }
    }

    #[cfg(feature = "encryption")]
    #[tokio::test(flavor = "multi_thread")]
    async fn an_encrypted_redis_store_may_be_looked_into_and_mended() {
        use tower_idempotency::store::{Encrypted, KeyRing};

        let server = RedisServer::start();
        let factory = || async {
            let store = connect(&server.url()).await;
            Encrypted::new(store, KeyRing::new(1, &[1; 32]))
        };
        admin_conformance(factory, Capabilities::durable())
            .await
            .unwrap();
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::sqlite::database::Database;
    use tower_idempotency::SqliteStore;

    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite_stores_on_one_file_may_be_looked_into_and_mended() {
        let database = Database::new();
        let path = database.path();
        let factory = || async {
            let builder = SqliteStore::builder().deadline(std::time::Duration::from_secs(10));
            builder.open(&path).await.unwrap()
        };
        admin_conformance(factory, Capabilities::durable())
            .await
            .unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_records_of_a_transactional_sqlite_store_may_be_looked_into() {
        let database = Database::new();
        let store = database.store().await.transactional();
        let capabilities = Capabilities::transactional().one_claim_at_a_time();
        admin_conformance(|| async { store.clone() }, capabilities)
            .await
            .unwrap();
    }
}

#[cfg(all(unix, feature = "postgres"))]
mod postgres {
    use super::*;
    use crate::support::postgres::{Driver, PostgresServer, Stores};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_postgres_store_may_be_looked_into_and_mended_on_every_version() {
        for server in PostgresServer::of_every_version() {
            for driver in Driver::ALL {
                for transactional in [false, true] {
                    may_be_mended(&server, driver, transactional).await;
                }
            }
        }
    }

    async fn may_be_mended(server: &PostgresServer, driver: Driver, transactional: bool) {
        let mut stores = Stores::new(server, driver);
        stores.transactional = transactional;
        stores.connections = 16;
        stores.migrate().await;
        let kept = if transactional {
            let store = stores.open().await;
            let capabilities = Capabilities::transactional().at_once(3);
            admin_conformance(|| async { store.clone() }, capabilities).await
        } else {
            admin_conformance(|| stores.open(), Capabilities::durable()).await
        };
        kept.unwrap_or_else(|violations| {
            panic!("{driver:?} on {}: {violations}", server.version())
        });
    }
}
