//! The contract, kept by the wrapper around every store.

use tower_idempotency::{
    MemoryStore,
    store::Encrypted,
    testing::{Capabilities, conformance},
};

use super::ring;

#[tokio::test(start_paused = true)]
async fn an_encrypted_store_keeps_the_contract() {
    let store = Encrypted::new(MemoryStore::new(), ring());
    conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[cfg(all(unix, feature = "redis"))]
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_redis_store_keeps_the_contract() {
    use crate::support::{redis::RedisServer, redis_store::patient};

    let server = RedisServer::start();
    let factory = || async {
        let store = patient().connect(&server.url()).await.unwrap();
        Encrypted::new(store, ring())
    };
    conformance(factory, Capabilities::durable()).await.unwrap();
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_sqlite_store_keeps_the_contract_in_both_modes() {
    let database = crate::sqlite::database::Database::new();
    let claimed = Encrypted::new(database.store().await, ring());
    conformance(|| async { claimed.clone() }, Capabilities::durable())
        .await
        .unwrap();
    let database = crate::sqlite::database::Database::new();
    let transactional = Encrypted::new(database.store().await.transactional(), ring());
    let capabilities = Capabilities::transactional().one_claim_at_a_time();
    conformance(|| async { transactional.clone() }, capabilities)
        .await
        .unwrap();
}

#[cfg(all(unix, feature = "postgres"))]
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_postgres_store_keeps_the_contract_in_both_modes() {
    use std::time::Duration;

    use crate::support::postgres::{Driver, PostgresServer, Stores};

    let server = PostgresServer::start();
    for transactional in [false, true] {
        // The wrapper sees nothing of the driver.
        let mut stores = Stores::new(&server, Driver::Deadpool);
        stores.transactional = transactional;
        // As without encryption: two hundred claims at once share forty connections.
        stores.deadline = Duration::from_secs(20);
        stores.connections = 40;
        stores.migrate().await;
        let store = Encrypted::new(stores.open().await, ring());
        let capabilities = if transactional {
            Capabilities::transactional().at_once(6)
        } else {
            Capabilities::durable()
        };
        conformance(|| async { store.clone() }, capabilities)
            .await
            .unwrap();
    }
}
