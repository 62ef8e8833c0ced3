//! What lies between the store and its server breaks, or the server moves.

use std::time::Duration;

use tokio::time::Instant;
use tower_idempotency::{
    RedisStore, Store,
    store::{Completion, RedisStoreBuilder, Renewal, StoreErrorKind},
};

use super::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fresh, rival, until_ok,
};
use crate::support::{
    proxy::{Proxy, Weather},
    redis::RedisServer,
    redis_store::patient,
    stopwatch::Stopwatch,
};

const DEADLINE: Duration = Duration::from_millis(300);
const GRACE: Duration = Duration::from_millis(100);

async fn behind(proxy: &Proxy) -> RedisStore {
    behind_as(proxy, RedisStore::builder().deadline(DEADLINE)).await
}

async fn behind_as(proxy: &Proxy, builder: RedisStoreBuilder) -> RedisStore {
    let url = format!("redis://{}", proxy.address);
    builder.connect(&url).await.unwrap()
}

/// Asserts that an operation fails within its deadline.
async fn fails_in_time(store: &RedisStore) {
    let start = Stopwatch::start();
    assert_failed(acquire(store, &fresh()).await, StoreErrorKind::Unavailable);
    let took = start.elapsed();
    assert!(took <= DEADLINE + GRACE, "{took:?}");
}

/// On one thread, which is the one whose log is looked at.
#[cfg(feature = "tracing")]
#[tokio::test]
async fn what_a_server_may_lose_and_that_it_went_and_came_is_in_the_log() {
    use crate::support::log::Log;

    let (log, _guards) = Log::capture();
    let mut server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    let told = |message: &str| log.text().contains(message);
    assert!(told("the Redis server may lose what it acknowledged"));
    assert!(!told("was lost"));
    server.kill();
    acquire(&store, &fresh()).await.unwrap_err();
    server.restart();
    let claim = fresh();
    until_ok(|| acquire(&store, &claim)).await;
    assert!(told("the connection to the Redis server was lost"));
    assert!(told("connected to the Redis server again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_passes_nothing_any_more_is_replaced() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port).await;
    let store = behind(&proxy).await;
    let held = fresh();
    assert_acquired(acquire(&store, &held).await, 1);
    proxy.swallow();
    fails_in_time(&store).await;
    let back = until_ok(|| store.renew(&held)).await;
    assert!(back <= Duration::from_secs(1), "{back:?}");
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_passes_nothing_any_more_is_replaced_before_it_is_needed() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port).await;
    let store = behind(&proxy).await;
    proxy.swallow();
    let start = Instant::now();
    while proxy.connections() < 2 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let claim = fresh();
    until_ok(|| acquire(&store, &claim)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_for_messages_is_kept_until_it_passes_nothing_any_more() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port).await;
    let store = behind(&proxy).await;
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let changed = tokio::spawn(store.changed(claim.name()));
    let newest = async |than: &str| {
        let start = Instant::now();
        loop {
            let clients = server.lines(&["CLIENT", "LIST", "TYPE", "pubsub"]);
            let newest = clients.iter().rfind(|line| line.starts_with("id="));
            let id = newest.map(|line| line.split(' ').next().unwrap().to_owned());
            if let Some(id) = id.filter(|id| id != than) {
                return id;
            }
            assert!(start.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let first = newest("").await;
    // It is looked after every five seconds.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(newest("").await, first);
    proxy.swallow();
    newest(&first).await;
    until_ok(|| complete(&store, &claim, b"r")).await;
    changed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_passes_nothing_is_unavailable_until_it_does_again() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port).await;
    let store = behind(&proxy).await;
    let held = fresh();
    assert_acquired(acquire(&store, &held).await, 1);
    proxy.weather(Weather::BlackHole);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        fails_in_time(&store).await;
    }
    proxy.weather(Weather::Clear);
    // A connection under way may have to fail first, as long as connecting may take.
    let back = until_ok(|| store.renew(&held)).await;
    assert!(back <= Duration::from_secs(2), "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_is_used_as_long_as_it_keeps_the_deadline() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port).await;
    let store = behind_as(&proxy, patient()).await;
    let claims = [fresh(), fresh(), fresh()];
    proxy.weather(Weather::Late(Duration::from_millis(20)));
    for claim in &claims {
        assert_acquired(acquire(&store, claim).await, 1);
    }
    proxy.weather(Weather::Trickle(Duration::from_micros(100)));
    for claim in &claims {
        assert_eq!(store.renew(claim).await.unwrap(), Renewal::Renewed);
        let kept = complete(&store, claim, b"record").await.unwrap();
        assert_eq!(kept, Completion::Kept);
        assert_record(acquire(&store, &rival(claim)).await, b"record");
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_master_that_stays_up_is_left_for_whoever_has_its_address() {
    let old = RedisServer::durable();
    let of = format!("127.0.0.1 {}", old.port);
    let new = RedisServer::with(&["--replicaof", &of]);
    let proxy = Proxy::start(old.port).await;
    let store = behind_as(&proxy, patient()).await;
    let (held, done) = (fresh(), fresh());
    assert_acquired(acquire(&store, &held).await, 1);
    assert_acquired(acquire(&store, &done).await, 1);
    complete(&store, &done, b"done").await.unwrap();
    let start = Instant::now();
    let offset = |server: &RedisServer| server.info("master_repl_offset");
    while new.lines(&["ROLE"]).get(3).map(String::as_str) != Some("connected")
        || offset(&new) < offset(&old)
    {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // Connections to the old one stay open, and it answers: that it is a replica.
    new.command(&["REPLICAOF", "NO", "ONE"]);
    proxy.redirect(new.port);
    old.command(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]);
    let back = until_ok(|| store.renew(&held)).await;
    assert!(back <= Duration::from_secs(1), "{back:?}");
    assert_record(acquire(&store, &rival(&done)).await, b"done");
    assert_acquired(acquire(&store, &fresh()).await, 1);
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_with_somebodys_script_is_unavailable_and_then_as_before() {
    for server in RedisServer::of_every_version() {
        println!("{}", server.version());
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let held = fresh();
        assert_acquired(acquire(&store, &held).await, 1);
        // The oldest is the store's.
        let connection = || server.lines(&["CLIENT", "LIST"])[0].clone();
        let id = connection().split(' ').next().unwrap().to_owned();
        server.command(&["CONFIG", "SET", "lua-time-limit", "50"]);
        let port = server.port;
        let busy = std::thread::spawn(move || {
            crate::support::redis::command(port, &["EVAL", "while true do end", "0"])
        });
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(10));
            let Err(error) = store.renew(&held).await else {
                continue;
            };
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let source = std::error::Error::source(&error).unwrap().to_string();
            if source.to_lowercase().contains("busy") {
                break;
            }
        }
        // It is looked after every second, and any answer will do.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.command(&["SCRIPT", "KILL"]);
        busy.join().unwrap().unwrap();
        until_ok(|| store.renew(&held)).await;
        assert_acquired(acquire(&store, &held).await, 1);
        assert!(connection().starts_with(&format!("{id} ")), "the same");
    }
}
