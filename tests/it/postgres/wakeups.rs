use std::time::{Duration, Instant};

use tokio::time::timeout;
use tower_idempotency::Store;

use crate::support::{
    claims::{acquire, assert_acquired, complete, fresh},
    postgres::{Driver, PostgresServer, Stores},
};

/// Sooner than the next look at a key whose changes are pushed: that comes after half a second at
/// least.
const PUSHED: Duration = Duration::from_millis(400);

/// How often it may be late on a machine that has no time.
const TRIES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_claim_is_pushed_to_who_waits_in_another_process() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        for transactional in [false, true] {
            let mut stores = Stores::new(server, driver);
            stores.transactional = transactional;
            stores.migrate().await;
            let (owner, waiter) = (stores.open().await, stores.open().await);
            let mut pushed = false;
            for _ in 0..TRIES {
                let claim = fresh();
                // A transaction is there as long as this.
                let held = acquire(&owner, &claim).await;
                let mut changed = tokio::spawn(waiter.changed(claim.name()));
                // It looks, and sees that somebody works under the key.
                let woken = timeout(Duration::from_millis(300), &mut changed).await;
                assert!(woken.is_err(), "woken for nothing");
                complete(&owner, &claim, b"r").await.unwrap();
                assert_acquired(held, 1);
                if timeout(PUSHED, changed).await.is_ok() {
                    pushed = true;
                    break;
                }
            }
            assert!(pushed, "{driver:?}, transactional: {transactional}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_has_the_server_asked_some_times_a_second() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let stores = Stores::new(&server, driver);
        stores.migrate().await;
        let store = stores.open().await;
        let claim = fresh();
        assert_acquired(acquire(&store, &claim).await, 1);
        // What a connection did is counted within a second of its next statement.
        let transactions = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'";
        let before = server.number(transactions).await;
        let waited = timeout(Duration::from_secs(4), store.changed(claim.name())).await;
        assert!(waited.is_err(), "woken for nothing");
        let asked = server.number(transactions).await - before;
        assert!(
            (1..100).contains(&asked),
            "{driver:?}: {asked} transactions"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_costs_a_moment_and_no_answer() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let stores = Stores::new(&server, driver);
        stores.migrate().await;
        let (owner, waiter) = (stores.open().await, stores.open().await);
        for _ in 0..5 {
            let claim = fresh();
            assert_acquired(acquire(&owner, &claim).await, 1);
            let changed = tokio::spawn(waiter.changed(claim.name()));
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(!changed.is_finished());
            let listening = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                             WHERE query LIKE '%pg_advisory_lock_shared%' AND pid <> pg_backend_pid()";
            // There may be one more, which who waited before has left.
            assert!(server.number(listening).await > 0, "{driver:?}");
            complete(&owner, &claim, b"r").await.unwrap();
            timeout(Duration::from_secs(20), changed)
                .await
                .unwrap()
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_that_listens_is_kept_for_the_next_and_given_up_after_some_seconds() {
    let server = PostgresServer::start();
    let stores = Stores::new(&server, Driver::Deadpool);
    stores.migrate().await;
    let store = stores.open().await;
    let listening = "SELECT count(*) FROM pg_stat_activity \
                     WHERE query LIKE '%advisory%shared%' AND pid <> pg_backend_pid()";
    for _ in 0..2 {
        let claim = fresh();
        assert_acquired(acquire(&store, &claim).await, 1);
        let changed = tokio::spawn(store.changed(claim.name()));
        tokio::time::sleep(Duration::from_millis(200)).await;
        complete(&store, &claim, b"r").await.unwrap();
        changed.await.unwrap();
        // It looks around once a second.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(server.number(listening).await, 1, "it is kept");
    }
    let start = Instant::now();
    while server.number(listening).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "it is kept on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whoever has the lock that tells of a waiter keeps the connection from answering.
#[tokio::test]
async fn a_connection_that_listens_in_vain_leaves_no_task_behind() {
    let server = PostgresServer::start();
    let mut stores = Stores::new(&server, Driver::Deadpool);
    stores.migrate().await;
    stores.deadline = Duration::from_millis(500);
    let claim = fresh();
    let store = stores.open().await;
    assert_acquired(acquire(&store, &claim).await, 1);
    let application = server.connect().await;
    let lock = "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks \
                WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted";
    let lock: i64 = {
        let mut changed = store.changed(claim.name());
        let woken = timeout(Duration::from_millis(300), &mut changed).await;
        assert!(woken.is_err(), "woken for nothing");
        server.number(lock).await
    };
    // Once nobody waits, it is to be had.
    let take = format!("SELECT pg_advisory_lock({lock})");
    application.batch_execute(&take).await.unwrap();
    let waited = timeout(Duration::from_secs(3), store.changed(claim.name())).await;
    assert!(waited.is_err(), "woken for nothing");
    drop(store);
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let start = Instant::now();
    // The application's.
    while tasks() > 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", tasks());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
