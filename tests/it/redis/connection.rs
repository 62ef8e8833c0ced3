use std::time::{Duration, Instant};

use tower_idempotency::{
    RedisStore, Store,
    store::{Completion, Renewal, StoreErrorKind},
};

use super::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fresh, rival, until_ok,
};
use crate::support::{redis::RedisServer, redis_store::patient, stopwatch::Stopwatch};

const DEADLINE: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_millis(100);

/// Asserts that an operation fails as unavailable, and returns how long that took.
async fn unavailable(store: &RedisStore) -> Duration {
    let start = Stopwatch::start();
    assert_failed(acquire(store, &fresh()).await, StoreErrorKind::Unavailable);
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_missed_at_once_and_found_within_a_second() {
    let mut server = RedisServer::durable();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (held, done) = (fresh(), fresh());
    assert_acquired(acquire(&store, &held).await, 1);
    assert_acquired(acquire(&store, &done).await, 1);
    complete(&store, &done, b"done").await.unwrap();

    server.kill();
    assert!(unavailable(&store).await <= DEADLINE + GRACE);
    // Nobody queues for a connection that nobody has.
    let start = Stopwatch::start();
    for _ in 0..1000 {
        unavailable(&store).await;
    }
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());

    server.restart();
    let claim = fresh();
    let back = until_ok(|| acquire(&store, &claim)).await;
    assert!(back <= Duration::from_secs(1), "{back:?}");
    assert_eq!(store.renew(&held).await.unwrap(), Renewal::Renewed);
    assert_record(acquire(&store, &rival(&done)).await, b"done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answering_is_given_up_within_the_deadline() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let held = fresh();
    assert_acquired(acquire(&store, &held).await, 1);

    server.pause();
    let waiting = (0..50).map(|_| unavailable(&store));
    for took in futures_util::future::join_all(waiting).await {
        assert!(took <= DEADLINE + GRACE, "{took:?}");
    }
    // The watchdog finds out what is wrong, and from then on nobody waits for an answer.
    let start = Instant::now();
    while unavailable(&store).await > GRACE {
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    server.resume();
    let claim = fresh();
    let back = until_ok(|| acquire(&store, &claim)).await;
    assert!(back <= Duration::from_secs(1), "{back:?}");
    assert_eq!(
        complete(&store, &held, b"r").await.unwrap(),
        Completion::Kept
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_was_closed_costs_nobody_an_error() {
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    for _ in 0..3 {
        // Sooner than that, and it is not worth another try at once.
        tokio::time::sleep(Duration::from_millis(600)).await;
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert_acquired(acquire(&store, &fresh()).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_share_one_connection_also_after_it_was_lost() {
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    let hundred = || async {
        let claims: Vec<_> = (0..100).map(|_| fresh()).collect();
        let all = claims.iter().map(|claim| acquire(&store, claim));
        futures_util::future::join_all(all).await
    };
    for claimed in hundred().await {
        assert_acquired(claimed, 1);
    }
    // The one that asks is another.
    assert_eq!(server.info("connected_clients"), 2);
    let before = server.info("total_connections_received");
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    for claimed in hundred().await {
        assert_acquired(claimed, 1);
    }
    assert_eq!(server.info("connected_clients"), 2);
    let made = server.info("total_connections_received") - before;
    // Three that ask, and one that replaces.
    assert_eq!(made, 4, "connections were made");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_do_not_last_are_not_replaced_in_haste() {
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    let before = server.info("total_connections_received");
    let start = Instant::now();
    let mut asked = 1;
    while start.elapsed() < Duration::from_secs(1) {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        asked += 1;
        // It fails, or meets the next connection.
        let _ = acquire(&store, &fresh()).await;
    }
    let made = server.info("total_connections_received") - before - asked;
    let most = start.elapsed().as_millis() / 25 + 1;
    assert!(u128::from(made) <= most, "{made}, not {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_asked_for_less_and_less_often() {
    let mut server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    server.kill();
    let listener = std::net::TcpListener::bind(("127.0.0.1", server.port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let mut tries = 0_u32;
    while start.elapsed() < Duration::from_secs(3) {
        // Each is closed at once.
        tries += u32::from(listener.accept().is_ok());
        let _ = acquire(&store, &fresh()).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // After 25 ms at the soonest, then twice as long each time, and half a second at the latest.
    assert!((4..=20).contains(&tries), "{tries} in three seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_leaves_no_connection_behind() {
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let changed = tokio::spawn(store.changed(claim.name()));
    complete(&store, &claim, b"r").await.unwrap();
    changed.await.unwrap();
    drop(store);
    let start = Instant::now();
    while server.info("connected_clients") > 1 {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_store_outlives_the_runtime_that_made_it() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let store = first.block_on(patient().connect(&server.url())).unwrap();
    first.block_on(async { assert_acquired(acquire(&store, &fresh()).await, 1) });
    drop(first);
    runtime().block_on(async {
        let claim = fresh();
        until_ok(|| acquire(&store, &claim)).await;
        assert_acquired(acquire(&store, &claim).await, 1);
    });
}
