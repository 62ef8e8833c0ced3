use std::time::{Duration, SystemTime};

use tower_idempotency::{
    Effects, RecordName, RedisStore, Store, UnknownOutcome,
    store::{Claim, Claimed, Completion, Renewal, StoreErrorKind},
};

use super::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fingerprint, fresh, leased,
    rival,
};
use crate::support::{redis::RedisServer, redis_store::patient};

async fn on(server: &RedisServer) -> RedisStore {
    patient().connect(&server.url()).await.unwrap()
}

/// Runs a command whose words are bytes.
async fn raw(server: &RedisServer, command: &redis::Cmd) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

async fn value(server: &RedisServer, key: &[u8]) -> Vec<u8> {
    match raw(server, redis::cmd("GET").arg(key)).await {
        redis::Value::BulkString(value) => value,
        other => panic!("{other:?}"),
    }
}

/// The only key of a server.
async fn only_key(server: &RedisServer) -> Vec<u8> {
    match raw(server, redis::cmd("KEYS").arg("*")).await {
        redis::Value::Array(keys) => match &keys[..] {
            [redis::Value::BulkString(key)] => key.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn named(byte: u8) -> Claim {
    Claim::new(
        RecordName::from_bytes([byte; RecordName::LEN]),
        *fresh().owner(),
        Duration::from_secs(10),
        Duration::from_secs(60),
    )
}

#[tokio::test]
async fn values_keep_the_layout_that_other_versions_read() {
    let server = RedisServer::start();
    let store = on(&server).await;
    let claim = named(0xfb);
    assert_acquired(acquire(&store, &claim).await, 1);
    let key = only_key(&server).await;
    assert_eq!(key, b"idem:-_v7-_v7-_v7-_v7-_v7-_v7");
    let held = value(&server, &key).await;
    assert!(held.len() <= 144, "{}", held.len());
    assert_eq!(held[..2], *b"\x01P");
    assert_eq!(held[2..18], *claim.owner().as_bytes());
    assert_eq!(held[18..50], [0xfb; 32]);
    let deadline = u64::from_be_bytes(held[50..58].try_into().unwrap());
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(u128::from(deadline).abs_diff(now + 10_000) < 5000);
    assert_eq!(held[58..62], 10_000_u32.to_be_bytes());
    assert_eq!(held[62..70], 1_u64.to_be_bytes());
    assert_eq!(held[70..74], 1_u32.to_be_bytes());
    assert_eq!(held[74..], *fingerprint().as_bytes());

    assert_eq!(
        complete(&store, &claim, b"record").await.unwrap(),
        Completion::Kept
    );
    let completed = value(&server, &key).await;
    assert_eq!(completed[..2], *b"\x01C");
    assert_eq!(completed[2..18], *claim.owner().as_bytes());
    assert_eq!(completed[18..], *b"record");
}

#[tokio::test]
async fn the_prefix_is_what_every_key_begins_with() {
    let server = RedisServer::start();
    let builder = patient().prefix("shop:");
    let store = builder.connect(&server.url()).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    assert!(only_key(&server).await.starts_with(b"shop:"));
    assert_acquired(acquire(&on(&server).await, &rival(&claim)).await, 1);
}

#[tokio::test]
async fn every_operation_is_one_round_trip() {
    let server = RedisServer::start();
    let store = on(&server).await;
    let first = fresh();
    // Teaches the server the scripts.
    run_all(&store, &first).await;
    let before = evalshas(&server);
    run_all(&store, &fresh()).await;
    assert_eq!(evalshas(&server) - before, 7);
    assert_eq!(calls_of(&server, "eval"), 5);
}

/// Seven operations, with each script among them.
async fn run_all(store: &RedisStore, claim: &Claim) {
    assert_acquired(acquire(store, claim).await, 1);
    store.release(claim).await.unwrap();
    assert_acquired(acquire(store, claim).await, 1);
    assert_eq!(store.renew(claim).await.unwrap(), Renewal::Renewed);
    assert_eq!(
        complete(store, claim, b"r").await.unwrap(),
        Completion::Kept
    );
    store.abandon(claim).await.unwrap();
    assert_record(acquire(store, &rival(claim)).await, b"r");
}

fn evalshas(server: &RedisServer) -> u64 {
    calls_of(server, "evalsha")
}

pub(super) fn calls_of(server: &RedisServer, command: &str) -> u64 {
    let lines = server.lines(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let calls = lines.iter().find_map(|line| line.strip_prefix(&start));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let server = RedisServer::start();
    let store = on(&server).await;
    for _ in 0..3 {
        server.command(&["SCRIPT", "FLUSH"]);
        run_all(&store, &fresh()).await;
    }
}

#[tokio::test]
async fn at_the_memory_bound_new_claims_are_refused_and_everything_else_goes_on() {
    for server in RedisServer::of_every_version() {
        println!("{}", server.version());
        at_the_memory_bound(&server).await;
    }
}

async fn at_the_memory_bound(server: &RedisServer) {
    let store = on(server).await;
    let [held, released, abandoned, renewed, taken_over] = [(); 5].map(|()| fresh());
    for claim in [&held, &released, &abandoned, &renewed] {
        assert_acquired(acquire(&store, claim).await, 1);
    }
    assert_acquired(
        acquire(&store, &leased(&taken_over, Duration::from_millis(1))).await,
        1,
    );
    let done = fresh();
    assert_acquired(acquire(&store, &done).await, 1);
    complete(&store, &done, b"done").await.unwrap();
    // Each script is known, and none is told to a server that has no room for it.
    run_all(&store, &fresh()).await;

    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Full);
    assert_record(acquire(&store, &rival(&done)).await, b"done");
    assert_eq!(store.renew(&renewed).await.unwrap(), Renewal::Renewed);
    store.release(&released).await.unwrap();
    store.abandon(&abandoned).await.unwrap();
    assert_acquired(acquire(&store, &rival(&abandoned)).await, 2);
    assert_acquired(acquire(&store, &rival(&taken_over)).await, 2);
    assert_eq!(
        complete(&store, &held, b"record").await.unwrap(),
        Completion::Kept
    );
    assert_record(acquire(&store, &rival(&held)).await, b"record");
    // A claim that was lost is completed all the same.
    assert_eq!(
        complete(&store, &fresh(), b"late").await.unwrap(),
        Completion::Kept
    );

    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_acquired(acquire(&store, &rival(&released)).await, 1);
}

#[tokio::test]
async fn scripts_are_told_to_a_server_that_is_out_of_memory() {
    let server = RedisServer::start();
    let store = on(&server).await;
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(
        complete(&store, &claim, b"record").await.unwrap(),
        Completion::Kept
    );
}

#[tokio::test]
async fn what_is_not_ours_under_a_key_is_corrupt_and_stays_as_it_was() {
    for server in RedisServer::of_every_version() {
        println!("{}", server.version());
        what_is_not_ours(&server).await;
    }
}

async fn what_is_not_ours(server: &RedisServer) {
    let store = on(server).await;
    let (claim, other) = (fresh(), fresh());
    assert_acquired(acquire(&store, &claim).await, 1);
    let key = only_key(server).await;
    let held = value(server, &key).await;
    assert_acquired(acquire(&store, &other).await, 1);
    let other_key = match raw(server, redis::cmd("KEYS").arg("*")).await {
        redis::Value::Array(keys) => keys
            .into_iter()
            .find_map(|it| match it {
                redis::Value::BulkString(it) if it != key => Some(it),
                _ => None,
            })
            .unwrap(),
        other => panic!("{other:?}"),
    };
    let newer_version = [b"\x02", &held[1..]].concat();
    let no_state = [b"\x01Z", &held[2..]].concat();
    let values = [
        value(server, &other_key).await,
        newer_version,
        no_state,
        b"x".to_vec(),
        Vec::new(),
        held[..20].to_vec(),
        b"\x01Cshort".to_vec(),
    ];
    for foreign in values {
        raw(server, redis::cmd("SET").arg(&key).arg(&foreign)).await;
        all_are_corrupt(&store, &claim).await;
        assert_eq!(value(server, &key).await, foreign);
    }
    raw(server, redis::cmd("DEL").arg(&key)).await;
    raw(server, redis::cmd("LPUSH").arg(&key).arg("x")).await;
    let before = evalshas(server);
    all_are_corrupt(&store, &claim).await;
    assert_eq!(evalshas(server) - before, 6, "no error is asked for twice");
    assert_eq!(
        raw(server, redis::cmd("LLEN").arg(&key)).await,
        redis::Value::Int(1)
    );
}

async fn all_are_corrupt(store: &RedisStore, claim: &Claim) {
    let kind = StoreErrorKind::Corrupt;
    for policy in [UnknownOutcome::Retry, UnknownOutcome::Refuse] {
        assert_failed(store.claim(claim, &fingerprint(), policy).await, kind);
    }
    assert_failed(store.renew(claim).await, kind);
    assert_failed(store.complete(claim, "r".into(), Effects::Keep).await, kind);
    assert_failed(store.release(claim).await, kind);
    assert_failed(store.abandon(claim).await, kind);
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_a_dead_owners_key_for_one_lease() {
    let server = RedisServer::start();
    let store = on(&server).await;
    let claim = leased(&fresh(), Duration::from_millis(200));
    assert_acquired(acquire(&store, &claim).await, 1);
    let key = only_key(&server).await;
    // As if it had been claimed by a clock that was an hour ahead.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(3600);
    let deadline = u64::try_from(now.as_millis()).unwrap().to_be_bytes();
    let mut set_back = redis::cmd("SETRANGE");
    raw(&server, set_back.arg(&key).arg(50).arg(&deadline[..])).await;

    let next = rival(&claim);
    match acquire(&store, &next).await {
        Ok(Claimed::Held {
            left: Some(left), ..
        }) => assert!(left <= claim.lease(), "{left:?}"),
        other => panic!("{other:?}"),
    }
    tokio::time::sleep(claim.lease()).await;
    assert_acquired(acquire(&store, &next).await, 2);
}
