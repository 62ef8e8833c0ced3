use tower_idempotency::{
    SqliteStore,
    testing::{Capabilities, conformance},
};

use super::database::Database;

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_store_keeps_its_contract() {
    let database = Database::new();
    let store = database.store().await;
    conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_stores_on_one_file_keep_their_contract_together() {
    let database = Database::new();
    let path = database.path();
    let factory = || async { SqliteStore::open(&path).await.unwrap() };
    conformance(factory, Capabilities::durable()).await.unwrap();
}

#[tokio::test]
async fn a_sqlite_store_on_a_connection_of_the_users_keeps_its_contract() {
    let database = Database::new();
    let store = SqliteStore::open_with(database.connection()).await.unwrap();
    conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transactional_sqlite_store_keeps_what_it_can_promise() {
    let database = Database::new();
    let store = database.store().await.transactional();
    let capabilities = Capabilities::transactional().one_claim_at_a_time();
    conformance(|| async { store.clone() }, capabilities)
        .await
        .unwrap();
}
