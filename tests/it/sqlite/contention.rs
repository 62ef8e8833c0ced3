//! Who waits for whom.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tower_idempotency::{
    SqliteStore, Store,
    store::{Claimed, StoreErrorKind},
};

use super::{database::Database, wal::commits};
use crate::support::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fresh, rival, until_ok,
};

#[tokio::test]
async fn a_replay_and_a_held_claim_are_answered_while_another_process_writes() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_millis(300));
    let store = store.open(database.path()).await.unwrap();
    let (done, running) = (fresh(), fresh());
    assert_acquired(acquire(&store, &done).await, 1);
    complete(&store, &done, b"record").await.unwrap();
    assert_acquired(acquire(&store, &running).await, 1);

    let other = database.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // One thread runs all of this: while a claim waits for the lock, nothing else may.
    let waiting = store.clone();
    let new = tokio::spawn(async move {
        let start = Instant::now();
        (acquire(&waiting, &fresh()).await, start.elapsed())
    });
    tokio::task::yield_now().await;
    for _ in 0..50 {
        assert_record(acquire(&store, &rival(&done)).await, b"record");
        let held = acquire(&store, &rival(&running)).await.unwrap();
        assert!(matches!(held, Claimed::Held { .. }), "{held:?}");
    }
    assert!(!new.is_finished(), "the lock is held, and no claim is made");
    let (refused, after) = new.await.unwrap();
    assert_failed(refused, StoreErrorKind::Unavailable);
    assert!(after >= Duration::from_millis(290), "{after:?}");
    other.execute_batch("COMMIT").unwrap();
    until_ok(|| async { acquire(&store, &fresh()).await }).await;
}

#[tokio::test]
async fn claims_that_come_together_are_committed_together() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(20));
    let store = store.open(database.path()).await.unwrap();
    let other = database.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = commits(&database);
    let mut claims = JoinSet::new();
    for _ in 0..200 {
        let store = store.clone();
        claims.spawn(async move { assert_acquired(acquire(&store, &fresh()).await, 1) });
    }
    // None is made yet, and a look at the file precedes each.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(commits(&database), before);
    other.execute_batch("COMMIT").unwrap();
    claims.join_all().await;
    let commits = commits(&database) - before;
    assert!(
        (1..=20).contains(&commits),
        "200 claims took {commits} commits"
    );
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_any_more_is_not_carried_out() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_millis(50));
    let store = store.open(database.path()).await.unwrap();
    let other = database.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..10 {
        let claim = fresh();
        assert_failed(acquire(&store, &claim).await, StoreErrorKind::Unavailable);
        assert_failed(store.renew(&claim).await, StoreErrorKind::Unavailable);
    }
    other.execute_batch("COMMIT").unwrap();
    until_ok(|| async { acquire(&store, &fresh()).await }).await;
    let rows: i64 = database
        .connection()
        .query_row("SELECT count(*) FROM tower_idempotency", [], |row| {
            row.get(0)
        })
        .unwrap();
    // What was under way when its caller gave up may have been made.
    assert!(rows <= 2, "{rows}");
}
