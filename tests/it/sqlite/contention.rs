//! Who waits for whom.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use fs4::FileExt;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tower_idempotency::{
    Effects, SqliteStore, Store,
    store::{Claimed, Completion, StoreErrorKind},
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

/// Carries out one claim after another until the time is up, and returns how many it did and the
/// longest that one waited for its transaction.
async fn keep_busy(store: SqliteStore, end: Instant) -> (u32, Duration) {
    let (mut done, mut longest) = (0, Duration::ZERO);
    while Instant::now() < end {
        let (claim, start) = (fresh(), Instant::now());
        // The transaction lasts as long as this.
        let acquired = acquire(&store, &claim).await.unwrap();
        assert!(matches!(acquired, Claimed::Acquired(_)));
        longest = longest.max(start.elapsed());
        // What the handler takes.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let kept = complete(&store, &claim, b"record").await.unwrap();
        assert_eq!(kept, Completion::Kept);
        done += 1;
    }
    (done, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_stores_that_are_always_busy_none_starves() {
    const STORES: u32 = 4;
    let database = Database::new();
    let end = Instant::now() + Duration::from_secs(4);
    let mut busy = JoinSet::new();
    for _ in 0..STORES {
        let store = SqliteStore::builder().deadline(Duration::from_secs(20));
        let store = store.open(database.path()).await.unwrap().transactional();
        // Each has the next claim waiting when one is done.
        for _ in 0..2 {
            busy.spawn(keep_busy(store.clone(), end));
        }
    }
    let done = busy.join_all().await;
    let all: u32 = done.iter().map(|(done, _)| done).sum();
    let turn = Duration::from_secs(4) / all;
    for (done, longest) in &done {
        assert!(done * STORES * 2 > all / 2, "{done} of {all}");
        // A turn for each, and some more for the machine's sake.
        assert!(*longest < turn * STORES * 2 * 4, "{longest:?} of {turn:?}");
    }
}

#[tokio::test]
async fn whoever_is_stopped_in_the_queue_stops_nobody() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_millis(1500));
    let store = store.open(database.path()).await.unwrap();
    let stopped = File::open(database.queue()).unwrap();
    FileExt::lock(&stopped).unwrap();
    let start = Instant::now();
    for _ in 0..20 {
        assert_acquired(acquire(&store, &fresh()).await, 1);
    }
    // Only the first waits for it.
    assert!(start.elapsed() < Duration::from_secs(10));
    FileExt::unlock(&stopped).unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
}

#[tokio::test]
async fn a_store_stands_in_the_queue_for_no_longer_than_it_waits() {
    let database = Database::new();
    let store = database.store().await;
    let transactional = store.clone().transactional();
    let other = File::open(database.queue()).unwrap();
    let free = || {
        let free = FileExt::try_lock(&other).is_ok();
        FileExt::unlock(&other).unwrap();
        free
    };
    assert!(free());
    assert_acquired(acquire(&store, &fresh()).await, 1);
    assert!(free());
    let claim = fresh();
    let acquired = acquire(&transactional, &claim).await.unwrap();
    assert!(free(), "its transaction is open, and others may wait for its end");
    let kept = complete(&transactional, &claim, b"record").await.unwrap();
    assert_eq!(kept, Completion::Kept);
    drop(acquired);

    // While it waits for SQLite's lock, it has the queue's.
    let database_lock = database.connection();
    database_lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move { acquire(&store, &fresh()).await });
    let start = Instant::now();
    while free() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never asks");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    database_lock.execute_batch("COMMIT").unwrap();
    assert_acquired(waiting.await.unwrap(), 1);
    assert!(free());
}

#[tokio::test]
async fn a_file_beside_the_database_that_is_none_takes_no_more_than_the_order() {
    let database = Database::new();
    std::fs::create_dir(database.queue()).unwrap();
    let store = database.store().await;
    for _ in 0..20 {
        assert_acquired(acquire(&store, &fresh()).await, 1);
    }
}

#[tokio::test]
async fn a_replay_is_read_by_its_caller_unless_reading_takes_long() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(20));
    let store = store.open(database.path()).await.unwrap();
    let (short, long) = (fresh(), fresh());
    assert_acquired(acquire(&store, &short).await, 1);
    complete(&store, &short, b"record").await.unwrap();
    assert_acquired(acquire(&store, &long).await, 1);
    let record = vec![7; 10_000_000];
    let completed = store.complete(&long, record.into(), Effects::Keep);
    completed.await.unwrap();

    let at_once = || acquire(&store, &rival(&short)).now_or_never();
    let start = Instant::now();
    loop {
        if let Some(answered) = at_once() {
            assert_record(answered, b"record");
            break;
        }
        // One read was slow, be it for the machine's sake.
        assert!(start.elapsed() < Duration::from_secs(60), "never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = Instant::now();
    let answered = acquire(&store, &rival(&long)).await.unwrap();
    let took = read.elapsed();
    assert!(matches!(answered, Claimed::Completed(_)));
    assert!(at_once().is_none(), "the last read took {took:?}");
    assert_record(acquire(&store, &rival(&short)).await, b"record");
}
