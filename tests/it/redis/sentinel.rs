use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use tower_idempotency::{RedisStore, Store, store::Renewal};

use super::claims::{acquire, assert_acquired, assert_record, complete, fresh, rival, until_ok};
use crate::support::{redis::RedisServer, redis_store::patient};

/// A master, its replica, and three who watch them.
pub(super) struct Watched {
    master: RedisServer,
    replica: RedisServer,
    sentinels: Vec<RedisServer>,
}

impl Watched {
    pub(super) async fn start() -> Self {
        let master = RedisServer::durable();
        let of = format!("127.0.0.1 {}", master.port);
        let args = ["--appendonly", "yes", "--appendfsync", "always"];
        let replica = RedisServer::with(&[&args[..], &["--replicaof", &of]].concat());
        let sentinels: Vec<_> = (0..3).map(|_| RedisServer::sentinel(master.port)).collect();
        let watched = Self {
            master,
            replica,
            sentinels,
        };
        watched.until_watched().await;
        watched
    }

    /// Returns once every Sentinel knows the master, the replica and the others.
    async fn until_watched(&self) {
        let knows_all = |sentinel: &RedisServer| {
            let info = sentinel.lines(&["INFO", "sentinel"]);
            let known = "name=main,status=ok,";
            let all = format!(":{},slaves=1,sentinels=3", self.master.port);
            info.iter()
                .any(|it| it.contains(known) && it.ends_with(&all))
        };
        let follows =
            || self.replica.lines(&["ROLE"]).get(3).map(String::as_str) == Some("connected");
        until(|| self.sentinels.iter().all(knows_all) && follows()).await;
    }

    /// The URL that the conformance server takes.
    #[cfg(feature = "axum")]
    pub(super) fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<_> = hosts.map(|it| format!("127.0.0.1:{}", it.port)).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// Has the replica take over, though it may lack something. The master stays up.
    #[cfg(feature = "axum")]
    pub(super) async fn fail_over(&mut self) {
        // Refused for a while after the last one.
        let order = || {
            let port = self.sentinels[0].port;
            crate::support::redis::command(port, &["SENTINEL", "FAILOVER", "main"])
                .is_ok_and(|it| it.starts_with("+OK"))
        };
        until(order).await;
        self.change_places().await;
    }

    /// Kills the master, and starts it again once the replica has taken over.
    #[cfg(feature = "axum")]
    pub(super) async fn kill_master(&mut self) {
        self.master.kill();
        until(|| self.replica.is_master()).await;
        self.master.restart();
        self.change_places().await;
    }

    #[cfg(feature = "axum")]
    async fn change_places(&mut self) {
        std::mem::swap(&mut self.master, &mut self.replica);
        until(|| self.master.is_master()).await;
        self.until_watched().await;
    }

    async fn store(&self) -> RedisStore {
        self.store_as(None).await
    }

    pub(super) const fn master(&self) -> &RedisServer {
        &self.master
    }

    /// Makes a store that is another user than the default one to the master.
    pub(super) async fn store_as(&self, user: Option<SentinelNodeConnectionInfo>) -> RedisStore {
        let urls = self.sentinels.iter().map(RedisServer::url).collect();
        let kind = SentinelServerType::Master;
        let client = SentinelClient::build(urls, "main", user, kind).unwrap();
        patient().connect_sentinel(client).await.unwrap()
    }
}

pub(super) async fn until(come_about: impl Fn() -> bool) {
    let start = Instant::now();
    while !come_about() {
        assert!(start.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// As where the one of before is cut off from the Sentinels, and does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_the_sentinels_left_is_left_while_it_is_up_and_a_master() {
    let (old, new) = (RedisServer::durable(), RedisServer::durable());
    let sentinel = RedisServer::sentinel(old.port);
    let client = SentinelClient::build(
        vec![sentinel.url()],
        "main",
        None,
        SentinelServerType::Master,
    );
    let store = patient().connect_sentinel(client.unwrap()).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    assert_eq!(old.lines(&["DBSIZE"]), [":1"]);
    sentinel.command(&["SENTINEL", "REMOVE", "main"]);
    let port = new.port.to_string();
    sentinel.command(&["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "1"]);
    let start = Instant::now();
    while new.lines(&["DBSIZE"]) == [":0"] {
        assert!(start.elapsed() < Duration::from_secs(60));
        // While it moves, there is none.
        let _ = acquire(&store, &fresh()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // There it stays, on one connection.
    let connection = || {
        let clients = new.lines(&["CLIENT", "LIST"]);
        let ours = clients.iter().find(|line| line.contains("cmd=evalsha"));
        ours.map(|line| line.split(' ').next().unwrap().to_owned())
    };
    let mut ids = HashSet::new();
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let _ = acquire(&store, &fresh()).await;
        ids.extend(connection());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_nobody_is_answered_by_the_master_of_before() {
    let watched = Watched::start().await;
    let store = watched.store().await;
    let (held, done) = (fresh(), fresh());
    assert_acquired(acquire(&store, &held).await, 1);
    assert_acquired(acquire(&store, &done).await, 1);
    complete(&store, &done, b"done").await.unwrap();
    let offset = |server: &RedisServer| server.info("master_repl_offset");
    until(|| offset(&watched.replica) >= offset(&watched.master)).await;
    watched.sentinels[0].command(&["SENTINEL", "FAILOVER", "main"]);
    // Nobody is answered by the one that is to become a replica, once it is told.
    until(|| watched.replica.is_master() && !watched.master.is_master()).await;
    until_ok(|| acquire(&store, &held)).await;
    assert_eq!(store.renew(&held).await.unwrap(), Renewal::Renewed);
    assert_record(acquire(&store, &rival(&done)).await, b"done");
    let fresh = fresh();
    assert_acquired(acquire(&store, &fresh).await, 1);
    let survivor = patient().connect(&watched.replica.url()).await.unwrap();
    assert_eq!(survivor.renew(&fresh).await.unwrap(), Renewal::Renewed);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_master_died_its_successor_is_found() {
    let mut watched = Watched::start().await;
    let store = watched.store().await;
    assert_acquired(acquire(&store, &fresh()).await, 1);
    watched.master.kill();
    let claim = fresh();
    until_ok(|| acquire(&store, &claim)).await;
    assert_acquired(acquire(&store, &claim).await, 1);
    assert!(watched.replica.is_master());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_find_what_a_failover_kept() {
    use tower_idempotency::{
        Admin,
        admin::{Force, Forgotten, List, State},
    };

    let mut watched = Watched::start().await;
    let store = watched.store().await;
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    complete(&store, &claim, b"done").await.unwrap();
    let offset = |server: &RedisServer| server.info("master_repl_offset");
    until(|| offset(&watched.replica) >= offset(&watched.master)).await;
    watched.master.kill();
    let all = List::new();
    until_ok(|| store.list(&all)).await;
    let page = store
        .list(&List::new().state(State::Completed))
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 1);
    let forgotten = store.forget(claim.name(), Force::No).await.unwrap();
    assert_eq!(forgotten, Forgotten::Forgotten);
}
