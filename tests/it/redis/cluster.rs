use std::time::{Duration, Instant};

use tokio::time::timeout;
use tower_idempotency::{
    RedisStore, Store,
    store::ConnectErrorKind,
    testing::{Capabilities, conformance},
};

use super::claims::{acquire, assert_acquired, complete, fresh};
use crate::support::{redis::RedisServer, redis_store::patient};

/// Three masters that share the slots.
pub(crate) async fn three() -> Vec<RedisServer> {
    let args = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "2000",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ];
    let nodes: Vec<_> = (0..3).map(|_| RedisServer::with(&args)).collect();
    let slots = [(0, 5460), (5461, 10922), (10923, 16383)];
    for (node, (first, last)) in nodes.iter().zip(slots) {
        let slots: Vec<_> = (first..=last).map(|slot: u16| slot.to_string()).collect();
        let mut words = vec!["CLUSTER", "ADDSLOTS"];
        words.extend(slots.iter().map(String::as_str));
        node.command(&words);
        let port = nodes[0].port.to_string();
        node.command(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    }
    let start = Instant::now();
    for node in &nodes {
        let is_ready = || {
            let info = node.lines(&["CLUSTER", "INFO"]);
            let has = |line| info.iter().any(|seen| seen.starts_with(line));
            has("cluster_state:ok") && has("cluster_known_nodes:3")
        };
        while !is_ready() {
            assert!(start.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    nodes
}

async fn on(nodes: &[RedisServer]) -> RedisStore {
    let urls = nodes.iter().map(RedisServer::url);
    patient().connect_cluster(urls).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_on_a_cluster() {
    let nodes = three().await;
    let store = on(&nodes).await;
    assert_eq!(store.warnings(), [""; 0]);
    conformance(|| on(&nodes), Capabilities::durable())
        .await
        .unwrap();
    for node in &nodes {
        assert!(node.info("total_commands_processed") > 100, "{node:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_a_change_is_pushed_through_the_keys_own_node() {
    let nodes = three().await;
    let (owner, waiter) = (on(&nodes).await, on(&nodes).await);
    for _ in 0..10 {
        let claim = fresh();
        assert_acquired(acquire(&owner, &claim).await, 1);
        let changed = tokio::spawn(waiter.changed(claim.name()));
        let start = Instant::now();
        let channels = |node: &RedisServer| node.lines(&["PUBSUB", "SHARDCHANNELS"]).len();
        while nodes.iter().map(channels).sum::<usize>() == 0 {
            assert!(start.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        complete(&owner, &claim, b"r").await.unwrap();
        let pushed = Duration::from_millis(400);
        timeout(pushed, changed).await.unwrap().unwrap();
        let start = Instant::now();
        while nodes.iter().map(channels).sum::<usize>() > 0 {
            assert!(start.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_of_a_cluster_that_evicts_is_refused() {
    let nodes = three().await;
    nodes[1].command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    nodes[1].command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let urls = nodes.iter().map(RedisServer::url);
    let error = RedisStore::builder()
        .connect_cluster(urls)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unsafe);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_nodes_of_a_cluster_lack_is_said_once() {
    let nodes = three().await;
    for node in &nodes {
        node.command(&["CONFIG", "SET", "appendonly", "no"]);
    }
    let store = on(&nodes).await;
    let [told] = store.warnings() else {
        panic!("{:?}", store.warnings());
    };
    assert!(told.starts_with("appendonly is no"), "{told}");
}
