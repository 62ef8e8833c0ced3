use std::sync::Arc;

use tower_idempotency::{
    MemoryStore, Store,
    testing::{Capabilities, conformance},
};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_its_contract() {
    let store = MemoryStore::new();
    conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_its_contract_in_real_time() {
    let store = MemoryStore::new();
    conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shared_dyn_store_keeps_its_contract() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    conformance(|| async { Arc::clone(&store) }, Capabilities::durable())
        .await
        .unwrap();
}

#[allow(dead_code, reason = "its main is for those who run it")]
#[path = "../../examples/custom_store.rs"]
mod custom_store;

#[tokio::test(start_paused = true)]
async fn a_store_of_ones_own_keeps_its_contract() {
    let store = custom_store::CustomStore::default();
    conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap();
}
