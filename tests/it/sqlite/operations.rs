use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rusqlite::params;
use tokio::{task::JoinSet, time::timeout};
use tower_idempotency::{
    Admin, Effects, Guard, SqliteStore, Store, UnknownOutcome,
    admin::{Force, Forgotten, List},
    store::{Acquired, Claim, Claimed, Completion, Renewal, StoreErrorKind, Synchronous},
};

use super::database::Database;
use crate::support::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fingerprint, fresh, rival,
};

async fn acquired(store: &SqliteStore, claim: &Claim) -> Acquired {
    match acquire(store, claim).await.unwrap() {
        Claimed::Acquired(acquired) => acquired,
        other => panic!("{other:?}"),
    }
}

/// Runs a guard in a transaction of the handler's own, and returns how many rows it hit.
fn commit_under(database: &Database, guard: &Guard) -> usize {
    let mut connection = database.connection();
    let transaction = connection.transaction().unwrap();
    let hit = transaction
        .execute(
            guard.sql(),
            params![guard.name(), guard.owner(), guard.fence()],
        )
        .unwrap();
    transaction.commit().unwrap();
    hit
}

#[tokio::test]
async fn a_claim_and_a_record_outlive_the_store() {
    let database = Database::new();
    let (running, done) = (fresh(), fresh());
    {
        let store = database.store().await;
        assert_acquired(acquire(&store, &running).await, 1);
        assert_acquired(acquire(&store, &done).await, 1);
        complete(&store, &done, b"record").await.unwrap();
    }
    let store = database.store().await;
    assert_record(acquire(&store, &done).await, b"record");
    let held = acquire(&store, &rival(&running)).await.unwrap();
    let Claimed::Held {
        fingerprint: theirs,
        left,
    } = held
    else {
        panic!("{held:?}");
    };
    assert_eq!(theirs, Some(fingerprint()));
    assert!(left.unwrap() > Duration::from_secs(5), "{left:?}");
    assert_acquired(acquire(&store, &running).await, 1);
}

#[tokio::test]
async fn a_guard_hits_while_its_claim_is_the_owner_and_then_no_more() {
    let database = Database::new();
    let store = database.store().await;
    let first = Claim::new(
        *fresh().name(),
        *fresh().owner(),
        Duration::from_millis(1),
        Duration::from_secs(60),
    );
    let guard = acquired(&store, &first).await.guard.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = rival(&first);
    let successor = acquired(&store, &second).await;
    assert_eq!(successor.fence, 2);
    assert!(!successor.effect_committed);
    assert_eq!(commit_under(&database, &guard), 0, "it was taken over");
    assert_eq!(commit_under(&database, &successor.guard.unwrap()), 1);
}

#[tokio::test]
async fn a_guard_hits_no_claim_but_its_own_be_it_of_the_same_fence_or_owner() {
    let database = Database::new();
    let store = database.store().await;
    let claim = fresh();
    let guard = acquired(&store, &claim).await.guard.unwrap();
    store.release(&claim).await.unwrap();
    let other = rival(&claim);
    let next = acquired(&store, &other).await;
    assert_eq!(next.fence, 1);
    assert_eq!(commit_under(&database, &guard), 0);
    store.abandon(&other).await.unwrap();
    let last = acquired(&store, &other).await;
    assert_eq!(last.fence, 2);
    assert_eq!(commit_under(&database, &next.guard.unwrap()), 0);
    let guard = last.guard.unwrap();
    assert_eq!(commit_under(&database, &guard), 1);
    complete(&store, &other, b"record").await.unwrap();
    assert_eq!(commit_under(&database, &guard), 0, "it has ended");
}

#[tokio::test]
async fn whoever_comes_after_a_committed_effect_is_told() {
    let database = Database::new();
    let store = database.store().await;
    let claim = fresh();
    let guard = acquired(&store, &claim).await.guard.unwrap();
    assert_eq!(commit_under(&database, &guard), 1);
    // Also by a release: what is there is not forgotten.
    store.release(&claim).await.unwrap();
    let refused = store
        .claim(&rival(&claim), &fingerprint(), UnknownOutcome::Refuse)
        .await
        .unwrap();
    let Claimed::Unknown {
        effect_committed, ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert!(effect_committed);
    let next = rival(&claim);
    let successor = acquired(&store, &next).await;
    assert!(successor.effect_committed);
    assert_eq!((successor.fence, successor.attempt), (2, 2));
    // And so is whoever sends the claim again.
    assert!(acquired(&store, &next).await.effect_committed);
    complete(&store, &next, b"record").await.unwrap();
    assert_record(acquire(&store, &rival(&claim)).await, b"record");
}

#[tokio::test]
async fn a_new_claim_of_an_expired_name_knows_no_effect() {
    let database = Database::new();
    let store = database.store().await;
    let claim = fresh();
    let guard = acquired(&store, &claim).await.guard.unwrap();
    assert_eq!(commit_under(&database, &guard), 1);
    database
        .connection()
        .execute("UPDATE tower_idempotency SET expires = 1, deadline = 1", [])
        .unwrap();
    let next = acquired(&store, &rival(&claim)).await;
    assert_eq!((next.fence, next.effect_committed), (1, false));
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_lease_longer() {
    let database = Database::new();
    let store = database.store().await;
    let claim = fresh();
    acquired(&store, &claim).await;
    let hour = 3_600_000;
    database
        .connection()
        .execute(
            "UPDATE tower_idempotency SET deadline = deadline + ?1",
            [hour],
        )
        .unwrap();
    for _ in 0..2 {
        let held = acquire(&store, &rival(&claim)).await.unwrap();
        let Claimed::Held {
            left: Some(left), ..
        } = held
        else {
            panic!("{held:?}");
        };
        assert!(left <= claim.lease(), "{left:?}");
    }
    let left: i64 = database
        .connection()
        .query_row(
            "SELECT deadline - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM tower_idempotency",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(left <= 10_000, "the deadline itself is moved: {left}");
}

#[tokio::test]
async fn a_full_store_refuses_what_is_new_and_finishes_what_was_begun() {
    let database = Database::new();
    let store = SqliteStore::builder().max_bytes(200_000);
    let store = store.open(database.path()).await.unwrap();
    let (begun, done) = (fresh(), fresh());
    acquired(&store, &begun).await;
    acquired(&store, &done).await;
    let record = vec![7; 100_000];
    let completed = store.complete(&done, record.clone().into(), Effects::Keep);
    assert_eq!(completed.await.unwrap(), Completion::Kept);
    // Until the bound, and not one further.
    let mut last = None;
    for _ in 0..10_000 {
        let claim = fresh();
        let claimed = acquire(&store, &claim).await;
        if claimed.is_err() {
            assert_failed(claimed, StoreErrorKind::Full);
            last = Some(claim);
            break;
        }
    }
    let refused = last.expect("it is full at some time");
    let size = std::fs::metadata(database.path()).unwrap().len();
    assert!(size < 400_000, "{size}");
    assert_record(acquire(&store, &rival(&done)).await, &record);
    assert_eq!(store.renew(&begun).await.unwrap(), Renewal::Renewed);
    assert_eq!(
        complete(&store, &begun, b"record").await.unwrap(),
        Completion::Kept
    );
    // Room is made by what expires.
    database
        .connection()
        .execute("DELETE FROM tower_idempotency WHERE state = 0", [])
        .unwrap();
    assert_acquired(acquire(&store, &refused).await, 1);
}

#[tokio::test]
async fn a_full_store_begins_no_transaction() {
    let database = Database::new();
    let store = SqliteStore::builder().max_bytes(1).transactional();
    let store = store.open(database.path()).await.unwrap();
    let error = acquire(&store, &fresh()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "the SQLite file has grown to its bound");
}

#[tokio::test]
async fn whoever_waits_in_the_same_process_is_woken_before_the_owner_is_told() {
    let database = Database::new();
    let store = database.store().await;
    for end in 0..3 {
        let claim = fresh();
        acquired(&store, &claim).await;
        // Not polled yet, so that nobody looks at the file for it.
        let changed = store.changed(claim.name());
        match end {
            0 => drop(complete(&store, &claim, b"record").await.unwrap()),
            1 => store.release(&claim).await.unwrap(),
            _ => store.abandon(&claim).await.unwrap(),
        }
        assert!(changed.now_or_never().is_some(), "{end}");
    }
    let store = store.transactional();
    for end in 0..2 {
        let claim = fresh();
        let acquired = acquired(&store, &claim).await;
        let changed = store.changed(claim.name());
        match end {
            0 => drop(complete(&store, &claim, b"record").await.unwrap()),
            _ => store.release(&claim).await.unwrap(),
        }
        assert!(changed.now_or_never().is_some(), "{end}");
        drop(acquired);
    }
}

#[tokio::test]
async fn whoever_waits_is_woken_by_a_change_of_owner_and_not_for_nothing() {
    let database = Database::new();
    let (owner, waiter) = (database.store().await, database.store().await);
    let claim = fresh();
    acquired(&owner, &claim).await;
    let mut changed = waiter.changed(claim.name());
    let woken = timeout(Duration::from_secs(1), &mut changed).await;
    assert!(woken.is_err(), "woken for nothing");
    // Taken over between two looks.
    let take_over = "UPDATE tower_idempotency SET owner = zeroblob(16), fence = 2";
    database.connection().execute(take_over, []).unwrap();
    timeout(Duration::from_secs(20), changed).await.unwrap();

    // A transaction is nowhere in the file.
    let store = owner.transactional();
    let claim = fresh();
    let acquired = acquired(&store, &claim).await;
    let woken = timeout(Duration::from_secs(1), store.changed(claim.name())).await;
    assert!(woken.is_err(), "woken for nothing");
    drop(acquired);
}

/// Returns for how many nanoseconds this thread has run.
#[cfg(target_os = "linux")]
fn spent() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let (nanos, _) = times.split_once(' ').unwrap();
    nanos.parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn whoever_waits_for_another_process_looks_less_and_less_often() {
    let database = Database::new();
    let (owner, waiter) = (database.store().await, database.store().await);
    let claim = fresh();
    acquired(&owner, &claim).await;
    // This thread runs all that waits.
    let before = spent();
    let changed = waiter.changed(claim.name());
    assert!(timeout(Duration::from_secs(3), changed).await.is_err());
    let spent = spent() - before;
    assert!(spent < 30_000_000, "{spent}");
}

#[tokio::test]
async fn what_has_expired_is_removed_and_its_room_given_back() {
    let database = Database::new();
    let store = database.store().await;
    for _ in 0..60 {
        let claim = fresh();
        acquired(&store, &claim).await;
        let record = vec![7; 200_000];
        store
            .complete(&claim, record.into(), Effects::Keep)
            .await
            .unwrap();
    }
    let kept = fresh();
    acquired(&store, &kept).await;
    drop(store);
    let count = |sql: &str| -> i64 {
        let connection = database.connection();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert!(count("PRAGMA page_count") > 2500);
    let expire = "UPDATE tower_idempotency SET expires = 0 WHERE state = 2";
    assert_eq!(database.connection().execute(expire, []).unwrap(), 60);
    // The next store begins with a look.
    let store = database.store().await;
    let start = Instant::now();
    while count("SELECT count(*) FROM tower_idempotency") > 1 || count("PRAGMA page_count") > 1500 {
        assert!(start.elapsed() < Duration::from_secs(20), "still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_acquired(acquire(&store, &kept).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_removed_by_a_writer_that_is_never_idle_too() {
    let database = Database::new();
    drop(database.store().await);
    let connection = database.connection();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
             INSERT INTO tower_idempotency
               (name, state, owner, fence, attempt, fingerprint, deadline, lease, expires, record)
             SELECT CAST(i AS BLOB), 2, zeroblob(16), 1, 1, x'', 0, 0, 1, x'00' FROM n",
        )
        .unwrap();
    let left = || -> i64 {
        let sql = "SELECT count(*) FROM tower_idempotency WHERE expires = 1";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(left(), 3000);
    let store = SqliteStore::builder().synchronous(Synchronous::Normal);
    let store = store.open(database.path()).await.unwrap();
    let mut busy = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        busy.spawn(async move {
            loop {
                assert_acquired(acquire(&store, &fresh()).await, 1);
            }
        });
    }
    let start = Instant::now();
    while left() > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", left());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    busy.abort_all();
    while let Some(ended) = busy.join_next().await {
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }
}

#[tokio::test]
async fn a_commit_that_fails_takes_nothing_from_the_next() {
    let database = Database::new();
    let own = database.connection();
    own.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let store = SqliteStore::open_with(own).await.unwrap();
    let other = database.connection();
    // What is wrong shows when it is committed.
    other
        .execute_batch(
            "CREATE TABLE items (name TEXT PRIMARY KEY);
             CREATE TABLE orders (item REFERENCES items DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER wrong AFTER INSERT ON tower_idempotency
             BEGIN INSERT INTO orders VALUES ('none'); END",
        )
        .unwrap();
    let claim = fresh();
    for _ in 0..2 {
        assert_failed(acquire(&store, &claim).await, StoreErrorKind::Unavailable);
    }
    other.execute_batch("DROP TRIGGER wrong").unwrap();
    assert_acquired(acquire(&store, &claim).await, 1);
}

#[tokio::test]
async fn a_row_that_nobody_can_have_written_is_corrupt_and_runs_nothing() {
    for damage in [
        "state = 7",
        "owner = x'00'",
        "fingerprint = x'00'",
        "fence = -1",
    ] {
        let database = Database::new();
        let store = database.store().await;
        let claim = fresh();
        acquired(&store, &claim).await;
        let sql = format!("UPDATE tower_idempotency SET {damage}");
        database.connection().execute(&sql, []).unwrap();
        let other = rival(&claim);
        assert_failed(acquire(&store, &other).await, StoreErrorKind::Corrupt);
        let name = claim.name();
        let page = store.list(&List::new()).await.unwrap();
        // A listing does not ask for owners.
        let listed = usize::from(damage == "owner = x'00'");
        let seen = (page.entries.len(), page.unreadable);
        assert_eq!(seen, (listed, 1 - listed), "{damage}");
        if damage == "fingerprint = x'00'" {
            // Nobody asks for it when a claim is forgotten.
            continue;
        }
        let forgotten = store.forget(name, Force::No).await;
        assert_failed(forgotten, StoreErrorKind::Corrupt);
        let forgotten = store.forget(name, Force::Yes).await.unwrap();
        assert_eq!(forgotten, Forgotten::Forgotten);
        assert_acquired(acquire(&store, &other).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_undoes_a_transaction_takes_none_of_the_others_with_it() {
    let database = Database::new();
    let store = database.store().await;
    let bad = fresh();
    let trigger = format!(
        "CREATE TRIGGER wrong BEFORE INSERT ON tower_idempotency WHEN new.name = x'{}'
         BEGIN SELECT RAISE(ROLLBACK, 'wrong'); END",
        format_args!("{:x}", bad.name())
    );
    database.connection().execute_batch(&trigger).unwrap();
    for _ in 0..5 {
        let claims: Vec<_> = (0..40).map(|_| fresh()).collect();
        let others = claims.iter().map(|claim| acquire(&store, claim));
        let all = others.chain([acquire(&store, &bad)]);
        let mut all = futures_util::future::join_all(all).await;
        assert_failed(all.pop().unwrap(), StoreErrorKind::Unavailable);
        for claimed in all {
            assert_acquired(claimed, 1);
        }
    }
}
