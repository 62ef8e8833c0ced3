use std::time::Duration;

use tokio::time::timeout;
use tower_idempotency::{
    RecordName, RedisStore, Store,
    store::{Claim, OwnerToken, Renewal},
};

use super::claims::{
    acquire, assert_acquired, assert_record, complete, documented, fresh, leased, rival,
};
use crate::support::{redis::RedisServer, redis_store::patient};

/// Makes the user that the docs name, and returns its URL.
fn user(server: &RedisServer, rules: &str) -> String {
    let words: Vec<_> = rules.split_whitespace().collect();
    assert_eq!(words[..3], ["ACL", "SETUSER", "idempotency"], "{rules}");
    server.command(&words);
    format!("redis://idempotency:secret@127.0.0.1:{}", server.port)
}

fn documented_rules() -> String {
    documented("docs/redis.md", "ACL SETUSER idempotency ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_can_do_all_there_is_to_do() {
    for server in RedisServer::of_every_version() {
        all_there_is(&server).await;
    }
}

async fn all_there_is(server: &RedisServer) {
    let url = user(server, &documented_rules());
    let store = patient().connect(&url).await.unwrap();
    let waiter = patient().connect(&url).await.unwrap();
    assert_eq!(store.warnings(), [""; 0]);

    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    assert_eq!(store.renew(&claim).await.unwrap(), Renewal::Renewed);
    store.release(&claim).await.unwrap();
    assert_acquired(acquire(&store, &claim).await, 1);
    store.abandon(&claim).await.unwrap();
    let next = rival(&claim);
    assert_acquired(acquire(&store, &next).await, 2);
    store.release(&next).await.unwrap();
    let last = leased(&rival(&claim), Duration::from_secs(1));
    assert_acquired(acquire(&store, &last).await, 3);
    let set_back = rival(&claim);
    acquire(&store, &set_back).await.unwrap();
    let changed = tokio::spawn(waiter.changed(claim.name()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    complete(&store, &last, b"r").await.unwrap();
    let pushed = Duration::from_millis(400);
    timeout(pushed, changed).await.unwrap().unwrap();
    assert_record(acquire(&store, &set_back).await, b"r");
    let refused = server.lines(&["ACL", "LOG"]);
    assert_eq!(refused, [""; 0], "{}", server.version());
}

/// The documented user with the rights that a setup needs beside.
fn rules_for(setup: &str) -> String {
    let more = documented("docs/redis.md", setup);
    let (_, more) = more.split_once(':').unwrap();
    format!("{} {more}", documented_rules())
}

async fn claims_and_records(store: &RedisStore, servers: &[RedisServer]) {
    let claim = fresh();
    assert_acquired(acquire(store, &claim).await, 1);
    let changed = tokio::spawn(store.changed(claim.name()));
    complete(store, &claim, b"r").await.unwrap();
    let woken = Duration::from_secs(5);
    timeout(woken, changed).await.unwrap().unwrap();
    assert_record(acquire(store, &rival(&claim)).await, b"r");
    for server in servers {
        assert_eq!(server.lines(&["ACL", "LOG"]), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_can_wait_for_replicas() {
    let (master, _replica) = super::replicas::pair().await;
    let url = user(&master, &rules_for("wait_replicas:"));
    let builder = patient().wait_replicas(1);
    let store = builder.connect(&url).await.unwrap();
    claims_and_records(&store, &[master]).await;
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_can_use_a_cluster() {
    let nodes = super::cluster::three().await;
    let rules = rules_for("Cluster:");
    let urls: Vec<_> = nodes.iter().map(|node| user(node, &rules)).collect();
    let store = patient().connect_cluster(urls).await.unwrap();
    claims_and_records(&store, &nodes).await;

    // While a key's slot moves, its node sends those who ask for what is not there to the next.
    let name = RecordName::from_bytes([b'a'; RecordName::LEN]);
    let (lease, ttl) = (Duration::from_secs(10), Duration::from_secs(60));
    let claim = Claim::new(name, OwnerToken::random(), lease, ttl);
    assert_acquired(acquire(&store, &claim).await, 1);
    let keys = |node: &RedisServer| {
        let keys = node.lines(&["KEYS", "*"]).into_iter();
        keys.filter(|key| key.ends_with("YWFhYWFh"))
            .collect::<Vec<_>>()
    };
    let from = nodes.iter().position(|node| keys(node).len() == 1).unwrap();
    let key = keys(&nodes[from]).remove(0);
    store.release(&claim).await.unwrap();
    let (from, to) = (&nodes[from], &nodes[(from + 1) % 3]);
    let slot = from.lines(&["CLUSTER", "KEYSLOT", &key]).remove(0);
    let slot = slot.trim_start_matches(':');
    let id = |node: &RedisServer| node.lines(&["CLUSTER", "MYID"]).remove(0);
    to.command(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]);
    from.command(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(to)]);
    assert_acquired(acquire(&store, &claim).await, 1);
    assert_eq!((keys(from), keys(to)), (vec![], vec![key]));
    for node in &nodes {
        assert_eq!(node.lines(&["ACL", "LOG"]), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_can_be_used_with_sentinel() {
    let watched = super::sentinel::Watched::start().await;
    user(watched.master(), &rules_for("Sentinel:"));
    let info = redis::RedisConnectionInfo::default()
        .set_username("idempotency")
        .set_password("secret");
    let info =
        redis::sentinel::SentinelNodeConnectionInfo::default().set_redis_connection_info(info);
    let store = watched.store_as(Some(info)).await;
    claims_and_records(&store, std::slice::from_ref(watched.master())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_can_look_into_a_store_and_mend_it() {
    use bytes::Bytes;
    use tower_idempotency::{
        Admin,
        admin::{Force, List, Repair, Repaired},
    };

    for server in RedisServer::of_every_version() {
        let url = user(&server, &rules_for("Operators:"));
        let store = patient().connect(&url).await.unwrap();
        let claim = fresh();
        assert_acquired(acquire(&store, &claim).await, 1);
        store.abandon(&claim).await.unwrap();
        let page = store.list(&List::new()).await.unwrap();
        let answer = http::Response::new(Bytes::from("paid"));
        let repair = Repair::new(&page.entries[0], answer).unwrap();
        let repaired = store.repair(&repair).await.unwrap();
        assert_eq!(repaired, Repaired::Recorded);
        let found = store.find(claim.name()).await.unwrap();
        assert!(found.is_some());
        assert!(store.record(claim.name()).await.unwrap().is_some());
        store.forget(claim.name(), Force::No).await.unwrap();
        let refused = server.lines(&["ACL", "LOG"]);
        assert_eq!(refused, [""; 0], "{}", server.version());
    }
}

/// Every right of the user is needed for something: what, its name says.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_may_do_nothing_else() {
    let rules = documented_rules();
    let server = RedisServer::durable();
    let url = user(&server, &rules);
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for words in [
        &["KEYS", "*"][..],
        &["FLUSHALL"],
        &["GET", "another"],
        &["CONFIG", "SET", "maxmemory", "0"],
        &["PUBLISH", "another", "x"],
        &["SCRIPT", "FLUSH"],
    ] {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let refused = command.query_async::<redis::Value>(&mut connection).await;
        let error = refused.expect_err(words[0]);
        assert_eq!(error.code(), Some("NOPERM"), "{words:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_not_ping_can_claim() {
    let server = RedisServer::durable();
    let url = user(&server, &documented_rules().replace(" +ping", ""));
    let store = patient().connect(&url).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_channels_is_woken_by_looking() {
    let server = RedisServer::durable();
    let rules = documented_rules().replace("&idem:*", "");
    let url = user(&server, &rules);
    let store = patient().connect(&url).await.unwrap();
    let waiter = patient().connect(&url).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let changed = tokio::spawn(waiter.changed(claim.name()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    complete(&store, &claim, b"r").await.unwrap();
    let polled = Duration::from_millis(1500);
    timeout(polled, changed).await.unwrap().unwrap();
}
