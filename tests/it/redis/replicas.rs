use std::time::{Duration, Instant};

use tower_idempotency::{
    RedisStore, Store,
    store::{Completion, ConnectError, ConnectErrorKind, Renewal, StoreErrorKind, UnsafeSettings},
};

use super::{
    claims::{
        acquire, assert_acquired, assert_failed, assert_record, complete, fresh, rival, until_ok,
    },
    sentinel::until,
};
use crate::support::{
    proxy::{Proxy, Weather},
    redis::RedisServer,
    redis_store::patient,
};

pub(super) async fn pair() -> (RedisServer, RedisServer) {
    let master = RedisServer::durable();
    let of = format!("127.0.0.1 {}", master.port);
    let delay = ["--replicaof", &of, "--repl-diskless-load", "swapdb"];
    let replica = RedisServer::with(&delay);
    let start = Instant::now();
    while replica.lines(&["ROLE"]).get(3).map(String::as_str) != Some("connected") {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            replica.lines(&["ROLE"])
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (master, replica)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_on_the_replica_that_takes_over() {
    let (mut master, replica) = pair().await;
    let builder = patient().wait_replicas(1);
    let store = builder.connect(&master.url()).await.unwrap();
    let (held, done) = (fresh(), fresh());
    assert_acquired(acquire(&store, &held).await, 1);
    assert_acquired(acquire(&store, &done).await, 1);
    assert_eq!(store.renew(&held).await.unwrap(), Renewal::Renewed);
    complete(&store, &done, b"done").await.unwrap();
    master.kill();
    replica.command(&["REPLICAOF", "NO", "ONE"]);

    let survivor = patient().connect(&replica.url()).await.unwrap();
    assert_record(acquire(&survivor, &rival(&done)).await, b"done");
    assert_eq!(
        complete(&survivor, &held, b"r").await.unwrap(),
        Completion::Kept
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_too_few_replicas_have_is_not_acknowledged() {
    let (master, replica) = pair().await;
    let builder = RedisStore::builder()
        .wait_replicas(1)
        .deadline(Duration::from_millis(200));
    let store = builder.connect(&master.url()).await.unwrap();
    let (claim, done) = (fresh(), fresh());
    assert_acquired(acquire(&store, &done).await, 1);
    replica.pause();
    assert_failed(acquire(&store, &claim).await, StoreErrorKind::Unavailable);
    assert_failed(
        complete(&store, &done, b"done").await,
        StoreErrorKind::Unavailable,
    );
    // Whoever does not wait for replicas is not held up by those who do.
    let other = patient().connect(&master.url()).await.unwrap();
    let start = Instant::now();
    let another = fresh();
    let (waits, quick) = tokio::join!(acquire(&store, &claim), acquire(&other, &another));
    assert_failed(waits, StoreErrorKind::Unavailable);
    assert_acquired(quick, 1);
    assert!(start.elapsed() < Duration::from_secs(2));
    replica.resume();
    // Once they have it, the same owner hears so.
    until_ok(|| complete(&store, &done, b"done")).await;
    assert_acquired(acquire(&store, &claim).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_has_the_whole_deadline() {
    let (master, replica) = pair().await;
    let builder = patient().deadline(Duration::from_secs(4)).wait_replicas(1);
    let store = builder.connect(&master.url()).await.unwrap();
    let claim = fresh();
    replica.pause();
    let acquired = acquire(&store, &claim);
    let resumed = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        replica.resume();
    };
    let (acquired, ()) = tokio::join!(acquired, resumed);
    assert_acquired(acquired, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_wait_for_replicas_together() {
    let (master, _replica) = pair().await;
    let builder = patient().wait_replicas(1);
    let store = builder.connect(&master.url()).await.unwrap();
    let claims: Vec<_> = (0..100).map(|_| fresh()).collect();
    let all = claims.iter().map(|claim| acquire(&store, claim));
    for claimed in futures_util::future::join_all(all).await {
        assert_acquired(claimed, 1);
    }
    assert!(master.info("connected_clients") <= 3);
}

#[tokio::test]
async fn a_connection_of_the_users_cannot_wait_for_replicas() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let builder = RedisStore::builder().wait_replicas(1);
    let error = builder.connect_with(connection).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Invalid);
}

/// Connects through a proxy to a server, with a wait for one replica.
async fn waiting(proxy: &Proxy, deadline: Duration) -> Result<RedisStore, ConnectError> {
    let builder = RedisStore::builder().wait_replicas(1).deadline(deadline);
    builder.connect(&format!("redis://{}", proxy.address)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_a_successor_do_not_count_for_who_wrote_to_its_predecessor() {
    let predecessor = RedisServer::durable();
    let (successor, _replica) = pair().await;
    let proxy = Proxy::start(predecessor.port).await;
    let store = waiting(&proxy, Duration::from_millis(200)).await.unwrap();
    // Whoever connects from now on is sent to the next one.
    proxy.redirect(successor.port);
    let claim = fresh();
    assert_failed(acquire(&store, &claim).await, StoreErrorKind::Unavailable);
    assert_eq!(successor.lines(&["DBSIZE"]), [":0"]);
    // Once all are there, it is acknowledged there.
    proxy.cut();
    until_ok(|| acquire(&store, &claim)).await;
    let survivor = patient().connect(&successor.url()).await.unwrap();
    assert_eq!(survivor.renew(&claim).await.unwrap(), Renewal::Renewed);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_when_the_server_died_is_not_told_of_its_successors_replicas() {
    let mut predecessor = RedisServer::durable();
    let (successor, _replica) = pair().await;
    let proxy = Proxy::start(predecessor.port).await;
    let store = waiting(&proxy, Duration::from_secs(2)).await.unwrap();
    let (first, second) = (fresh(), fresh());
    let (one, other, ()) = tokio::join!(acquire(&store, &first), acquire(&store, &second), async {
        // Both claims, and the mark of the wait that holds up at least one of them.
        until(|| predecessor.lines(&["DBSIZE"]) == [":3"]).await;
        proxy.redirect(successor.port);
        predecessor.kill();
    });
    assert_failed(one, StoreErrorKind::Unavailable);
    assert_failed(other, StoreErrorKind::Unavailable);
    let third = fresh();
    until_ok(|| acquire(&store, &third)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_not_connected_to_two_servers() {
    let predecessor = RedisServer::durable();
    let (successor, _replica) = pair().await;
    let proxy = Proxy::start(predecessor.port).await;
    proxy.weather(Weather::Late(Duration::from_millis(200)));
    let (connected, ()) = tokio::join!(waiting(&proxy, Duration::from_secs(2)), async {
        until(|| proxy.connections() == 1).await;
        proxy.redirect(successor.port);
    });
    assert_eq!(connected.unwrap_err().kind(), ConnectErrorKind::Unreachable);
    // The same way, both lead to one.
    let store = waiting(&proxy, Duration::from_secs(2)).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_wait_is_replaced() {
    let (master, _replica) = pair().await;
    let builder = patient().wait_replicas(1);
    let store = builder.connect(&master.url()).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    let clients = master.lines(&["CLIENT", "LIST", "TYPE", "normal"]);
    let waits = clients.iter().find(|client| client.contains("cmd=wait "));
    let id = waits.unwrap().split(['=', ' ']).nth(1).unwrap();
    master.command(&["CLIENT", "KILL", "ID", id]);
    let claim = fresh();
    until_ok(|| acquire(&store, &claim)).await;
    assert_acquired(acquire(&store, &claim).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_replicas_needs_to_know_whose_they_are() {
    let (master, _replica) = pair().await;
    master.command(&[
        "ACL", "SETUSER", "blind", "on", ">secret", "~*", "&*", "+@all", "-info",
    ]);
    let url = format!("redis://blind:secret@127.0.0.1:{}", master.port);
    let builder = RedisStore::builder().unsafe_settings(UnsafeSettings::Ignore);
    let store = builder.clone().connect(&url).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    let error = builder.wait_replicas(1).connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
}
