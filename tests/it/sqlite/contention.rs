//! Who waits for whom.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
async fn a_row_that_cannot_be_read_is_said_to_be_one_while_another_process_writes() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(20));
    let store = store.open(database.path()).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let other = database.connection();
    other
        .execute_batch("UPDATE tower_idempotency SET state = 7; BEGIN IMMEDIATE")
        .unwrap();
    let start = Instant::now();
    let refused = acquire(&store, &rival(&claim)).await;
    assert_failed(refused, StoreErrorKind::Corrupt);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_claim_that_waited_too_long_is_not_made_later() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(1));
    let store = store.open(database.path()).await.unwrap();
    let other = database.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Unavailable);
    tokio::time::sleep(Duration::from_millis(500)).await;
    other.execute_batch("COMMIT").unwrap();
    until_ok(|| async { acquire(&store, &fresh()).await }).await;
    let sql = "SELECT count(*) FROM tower_idempotency";
    let rows: i64 = other.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
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

/// Carries out one claim after another until the time is up, and returns how many transactions of
/// others were begun, at most, while one of these waited for its own.
async fn keep_busy(store: SqliteStore, begun: Arc<AtomicUsize>, end: Instant) -> usize {
    let mut longest = 0;
    while Instant::now() < end {
        let (claim, before) = (fresh(), begun.load(Ordering::SeqCst));
        // The transaction lasts as long as this.
        let acquired = acquire(&store, &claim).await.unwrap();
        assert!(matches!(acquired, Claimed::Acquired(_)));
        longest = longest.max(begun.fetch_add(1, Ordering::SeqCst) - before);
        // What the handler takes.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let kept = complete(&store, &claim, b"record").await.unwrap();
        assert_eq!(kept, Completion::Kept);
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn of_stores_that_are_always_busy_none_starves() {
    const STORES: usize = 4;
    let database = Database::new();
    let (begun, end) = (Arc::default(), Instant::now() + Duration::from_secs(4));
    let mut busy = JoinSet::new();
    for _ in 0..STORES {
        let store = SqliteStore::builder().deadline(Duration::from_secs(30));
        let store = store.open(database.path()).await.unwrap().transactional();
        // Each has the next claim waiting when one is done.
        for _ in 0..2 {
            busy.spawn(keep_busy(store.clone(), Arc::clone(&begun), end));
        }
    }
    // Two turns of each, and as many for those that come in out of turn.
    for longest in busy.join_all().await {
        assert!(longest <= STORES * 4, "{longest} were let in before");
    }
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_any_more_is_not_carried_out() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(30));
    let store = store.open(database.path()).await.unwrap();
    let other = database.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let first = store.clone();
    let first = tokio::spawn(async move { acquire(&first, &fresh()).await });
    // The writer has the first and waits for the lock: what comes now waits for the writer.
    let queue = File::open(database.queue()).unwrap();
    let start = Instant::now();
    while FileExt::try_lock(&queue).is_ok() {
        FileExt::unlock(&queue).unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "it never asks");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut left = JoinSet::new();
    for _ in 0..10 {
        let store = store.clone();
        left.spawn(async move { acquire(&store, &fresh()).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    left.shutdown().await;
    other.execute_batch("COMMIT").unwrap();
    assert_acquired(first.await.unwrap(), 1);
    assert_acquired(acquire(&store, &fresh()).await, 1);
    let sql = "SELECT count(*) FROM tower_idempotency";
    let rows: i64 = other.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
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
    assert!(
        free(),
        "its transaction is open, and others may wait for its end"
    );
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
    let record = vec![7; 50_000_000];
    let completed = store.complete(&long, record.into(), Effects::Keep);
    completed.await.unwrap();

    // Another thread is that quick once or twice, but not time and again.
    let at_once = || {
        (0..50).all(|_| {
            let answered = acquire(&store, &rival(&short)).now_or_never();
            answered.is_some_and(|answered| matches!(answered, Ok(Claimed::Completed(_))))
        })
    };
    let until_at_once = async || {
        let start = Instant::now();
        while !at_once() {
            // One read was slow, be it for the machine's sake.
            assert!(start.elapsed() < Duration::from_secs(60), "never");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until_at_once().await;
    // What is to be saved up is counted by how long a read took, not by how late it came.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let start = Instant::now();
    // This takes its caller long.
    while acquire(&store, &rival(&long)).now_or_never().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!at_once());
    assert_record(acquire(&store, &rival(&short)).await, b"record");
    until_at_once().await;
}

/// Has another process recover the log, which takes it long: SQLite's readers and writers wait.
#[cfg(target_os = "linux")]
fn recover_for_long(database: &Database) -> std::process::Child {
    use std::io::Read;

    // See <https://www.sqlite.org/walformat.html#wal_locks>.
    const RECOVERS: &str = "import fcntl, sys, time
shm = open(sys.argv[1] + '-shm', 'r+b', buffering=0)
for lock in 120, 122:
    fcntl.lockf(shm, fcntl.LOCK_EX, 1, lock)
shm.write(bytes(48))
print(flush=True)
time.sleep(60)";
    let mut child = std::process::Command::new("python3")
        .args(["-c", RECOVERS])
        .arg(database.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let begun = child.stdout.as_mut().unwrap().read_exact(&mut [0]);
    begun.unwrap();
    child
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn while_another_process_recovers_the_log_no_thread_of_the_runtime_waits() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(2));
    let store = store.open(database.path()).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    complete(&store, &claim, b"record").await.unwrap();
    let mut recovers = recover_for_long(&database);
    let start = Instant::now();
    // Read by the caller, unless the machine was slow.
    for _ in 0..20 {
        let waiting = acquire(&store, &rival(&claim)).now_or_never();
        assert!(waiting.is_none(), "{waiting:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = acquire(&store, &rival(&claim)).await;
    assert_failed(refused, StoreErrorKind::Unavailable);
    recovers.kill().unwrap();
    recovers.wait().unwrap();
    until_ok(|| async { acquire(&store, &rival(&claim)).await }).await;
    assert_record(acquire(&store, &rival(&claim)).await, b"record");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_replay_is_answered_once_another_process_has_recovered_the_log() {
    let database = Database::new();
    let store = SqliteStore::builder().deadline(Duration::from_secs(30));
    let store = store.open(database.path()).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    complete(&store, &claim, b"record").await.unwrap();
    let mut recovers = recover_for_long(&database);
    let waiting = tokio::spawn(async move { acquire(&store, &rival(&claim)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    recovers.kill().unwrap();
    recovers.wait().unwrap();
    assert_record(waiting.await.unwrap(), b"record");
}
