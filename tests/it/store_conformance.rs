mod transactional;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_idempotency::{
    MemoryStore, Store,
    testing::{Capabilities, Violations, conformance},
};

use self::transactional::{Fault, Transactional};

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
    verdict(Fault::Nothing, Capabilities::transactional())
        .await
        .unwrap();
    let violations = verdict(Fault::Nothing, Capabilities::durable()).await;
    assert!(violations.is_err(), "it has no durable claims");
}

async fn verdict(fault: Fault, capabilities: Capabilities) -> Result<(), Violations> {
    let store = Transactional::with(fault);
    conformance(|| async { store.clone() }, capabilities).await
}

/// Passes if a wrong store is seen to break a rule.
async fn is_seen(fault: Fault, capabilities: Capabilities, rule: &str) {
    let violations = verdict(fault, capabilities).await.unwrap_err();
    let named = violations
        .iter()
        .any(|violation| violation.rule().starts_with(rule));
    assert!(named, "{fault:?}: {violations}");
}

#[tokio::test(start_paused = true)]
async fn wrong_transactions_are_seen() {
    let one = Capabilities::transactional().one_claim_at_a_time();
    let independent = "an operation on one name changes no other";
    for (fault, rule) in [
        (
            Fault::RollsBackLate,
            "an acquired claim that is dropped without completion is undone",
        ),
        (
            Fault::CommitIsTorn,
            "a completion whose future was dropped was done or not",
        ),
        (Fault::ReleaseForgetsAll, independent),
        (Fault::AbandonForgetsAll, independent),
    ] {
        is_seen(fault, Capabilities::transactional(), rule).await;
        is_seen(fault, one.clone(), rule).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_claims_are_held_at_once_than_the_store_can_hold() {
    let most = async |capabilities| {
        let store = Transactional::default();
        let verdict = conformance(|| async { store.clone() }, capabilities).await;
        verdict.map(|()| store.most())
    };
    let all = Capabilities::transactional();
    assert!(most(all.clone()).await.unwrap() > 8);
    assert!(most(all.clone().at_once(2)).await.unwrap() <= 8);
    assert_eq!(most(all.one_claim_at_a_time()).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_suite_takes_some_fifteen_units() {
    for unit in [Duration::from_millis(100), Duration::from_secs(2)] {
        let (store, start) = (MemoryStore::new(), Instant::now());
        let capabilities = Capabilities::durable().pace(unit);
        conformance(|| async { store.clone() }, capabilities)
            .await
            .unwrap();
        let units = start.elapsed().as_secs_f64() / unit.as_secs_f64();
        assert!((10.0..20.0).contains(&units), "{units} of {unit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_violation_says_what_was_expected_and_what_was_seen() {
    let violations = verdict(Fault::Nothing, Capabilities::durable())
        .await
        .unwrap_err();
    let message = violations.to_string();
    assert!(
        message.starts_with("the store breaks its contract, "),
        "{message}"
    );
    assert!(message.contains("\n    expected: "), "{message}");
    assert!(message.contains("\n    seen:     "), "{message}");
    let more = violations.iter().count() - 8;
    assert!(
        message.ends_with(&format!("\n\n  and {more} more")),
        "{message}"
    );
    assert_eq!(format!("{violations:?}"), message, "what unwrap shows");
    assert!((&violations).into_iter().eq(violations.iter()));
}
