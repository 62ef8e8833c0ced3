mod transactional;

use std::sync::Arc;

use self::transactional::Transactional;
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

#[tokio::test(start_paused = true)]
async fn a_store_whose_claims_are_transactions_keeps_what_it_can_promise() {
    let store = Transactional::default();
    conformance(|| async { store.clone() }, Capabilities::transactional())
        .await
        .unwrap();
    let violations = conformance(|| async { store.clone() }, Capabilities::durable()).await;
    assert!(violations.is_err(), "it has no durable claims");
}

#[tokio::test(start_paused = true)]
async fn transactions_that_stay_open_are_seen() {
    let store = Transactional::leaking();
    let violations = conformance(|| async { store.clone() }, Capabilities::transactional())
        .await
        .unwrap_err();
    let rule = "an acquired claim that is dropped without completion is undone";
    assert!(
        violations.iter().any(|violation| violation.rule() == rule),
        "{violations}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_violation_says_what_was_expected_and_what_was_seen() {
    let store = Transactional::default();
    let violations = conformance(|| async { store.clone() }, Capabilities::durable())
        .await
        .unwrap_err();
    let message = violations.to_string();
    assert!(
        message.starts_with("the store breaks its contract, "),
        "{message}"
    );
    assert!(message.contains("\n    expected: "), "{message}");
    assert!(message.contains("\n    seen:     "), "{message}");
    assert_eq!(format!("{violations:?}"), message, "what unwrap shows");
}
