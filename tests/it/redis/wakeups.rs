use std::{
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};
use tower_idempotency::{
    RedisStore, Store,
    store::{Changed, Claim},
};

use super::{
    claims::{acquire, assert_acquired, complete, fresh},
    operations::calls_of,
};
use crate::support::{redis::RedisServer, redis_store::patient};

/// Sooner than any look at a key whose changes are pushed.
const PUSHED: Duration = Duration::from_millis(400);

/// A claim that is held, the store that holds it, and another store on the same server.
async fn held(server: &RedisServer) -> (Claim, RedisStore, RedisStore) {
    let owner = patient().connect(&server.url()).await.unwrap();
    let waiter = patient().connect(&server.url()).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&owner, &claim).await, 1);
    (claim, owner, waiter)
}

fn subscribers(server: &RedisServer) -> usize {
    server.lines(&["PUBSUB", "CHANNELS"]).len()
}

async fn until_subscribed(server: &RedisServer) {
    let start = Instant::now();
    while subscribers(server) == 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The watcher looks once after it has subscribed.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_claim_is_pushed_to_who_waits_in_another_process() {
    let server = RedisServer::start();
    let (claim, owner, waiter) = held(&server).await;
    let changed = tokio::spawn(waiter.changed(claim.name()));
    until_subscribed(&server).await;
    complete(&owner, &claim, b"r").await.unwrap();
    timeout(PUSHED, changed).await.unwrap().unwrap();
    // Nobody waits, so nothing is listened to.
    let start = Instant::now();
    while subscribers(&server) > 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_before_the_first_poll_is_not_missed() {
    let server = RedisServer::start();
    let (claim, owner, waiter) = held(&server).await;
    let changed = waiter.changed(claim.name());
    complete(&owner, &claim, b"r").await.unwrap();
    timeout(PUSHED, changed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_costs_a_moment_and_no_answer() {
    let server = RedisServer::start();
    let (claim, owner, waiter) = held(&server).await;
    let changed = tokio::spawn(waiter.changed(claim.name()));
    until_subscribed(&server).await;
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    complete(&owner, &claim, b"r").await.unwrap();
    timeout(Duration::from_secs(2), changed)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_pushed_again_after_the_connection_was_lost() {
    let server = RedisServer::start();
    let (claim, owner, waiter) = held(&server).await;
    let changed = tokio::spawn(waiter.changed(claim.name()));
    until_subscribed(&server).await;
    // However often it is lost, the next one does not take longer.
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        until_subscribed(&server).await;
    }
    complete(&owner, &claim, b"r").await.unwrap();
    timeout(PUSHED, changed).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_connection_is_back_all_keys_are_looked_at() {
    let server = RedisServer::start();
    let owner = patient().connect(&server.url()).await.unwrap();
    let waiter = patient().connect(&server.url()).await.unwrap();
    let mut spreads = Vec::new();
    // On a machine that stands still meanwhile, it takes more than one.
    while spreads.len() < 10 {
        let claims: Vec<_> = (0..30).map(|_| fresh()).collect();
        let mut waiting = JoinSet::new();
        for claim in &claims {
            assert_acquired(acquire(&owner, claim).await, 1);
            let changed = waiter.changed(claim.name());
            waiting.spawn(async {
                changed.await;
                Instant::now()
            });
        }
        while subscribers(&server) < claims.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        // Before it is back, which takes 50 ms.
        join_all(claims.iter().map(|claim| complete(&owner, claim, b"r"))).await;
        let woken = waiting.join_all().await;
        let spread = *woken.iter().max().unwrap() - *woken.iter().min().unwrap();
        // Each by itself would look at a moment of its own, within a second.
        if spread < Duration::from_millis(150) {
            return;
        }
        spreads.push(spread);
    }
    panic!("woken one by one: {spreads:?}");
}

/// Begins to wait, and so has the key listened to.
async fn begin(waiter: &RedisStore, claim: &Claim) -> Changed {
    let mut changed = waiter.changed(claim.name());
    let is_pending = poll_fn(|cx| Poll::Ready(changed.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending);
    // The watcher gives its order.
    yield_now().await;
    changed
}

#[tokio::test]
async fn who_comes_and_goes_leaves_nothing_listened_to() {
    let server = RedisServer::start();
    let (claim, _owner, waiter) = held(&server).await;
    let _stays = tokio::spawn(waiter.changed(claim.name()));
    until_subscribed(&server).await;
    for _ in 0..50 {
        drop(begin(&waiter, &fresh()).await);
    }
    let start = Instant::now();
    while subscribers(&server) > 1 {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_goes_does_not_take_the_messages_of_who_comes() {
    let server = RedisServer::start();
    let mut took = Vec::new();
    // On a machine that stands still meanwhile, it takes more than one.
    while took.len() < 10 {
        let (claim, owner, waiter) = held(&server).await;
        let mut changed = begin(&waiter, &claim).await;
        for _ in 0..20 {
            drop(changed);
            changed = begin(&waiter, &claim).await;
        }
        let other = fresh();
        let _last = begin(&waiter, &other).await;
        while subscribers(&server) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        complete(&owner, &claim, b"r").await.unwrap();
        let start = Instant::now();
        changed.await;
        // It is looked at after half a second at the soonest.
        if start.elapsed() < Duration::from_millis(300) {
            return;
        }
        took.push(start.elapsed());
    }
    panic!("not pushed: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_asked_less_and_less_often() {
    let server = RedisServer::start();
    let (claim, owner, waiter) = held(&server).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut rejected = async || {
        let mut stats = redis::cmd("INFO");
        stats.arg("stats");
        let stats: redis::InfoDict = stats.query_async(&mut connection).await.unwrap();
        stats.get::<u64>("rejected_connections").unwrap()
    };
    server.command(&["CONFIG", "SET", "maxclients", "1"]);
    let before = rejected().await;
    let changed = tokio::spawn(waiter.changed(claim.name()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tries = rejected().await - before;
    // After 50 to 100 ms, and then twice as long each time.
    assert!((2..=7).contains(&tries), "{tries} in three seconds");
    complete(&owner, &claim, b"r").await.unwrap();
    timeout(Duration::from_secs(5), changed)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_connection_of_the_users_keys_are_looked_at_less_and_less_often() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let store = patient().connect_with(connection).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let changed = tokio::spawn(store.changed(claim.name()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    // After 25 ms, then twice as long each time, and half a second at the latest: or half of that.
    let looks = calls_of(&server, "getrange");
    assert!((6..=20).contains(&looks), "{looks} in three seconds");
    complete(&store, &claim, b"r").await.unwrap();
    // Who waits in the same process is woken without any look.
    server.pause();
    let woken = timeout(Duration::from_secs(5), changed).await;
    server.resume();
    woken.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_who_wait_for_one_key_cost_one_poller() {
    const WAITERS: usize = 10_000;
    let server = RedisServer::start();
    let (claim, owner, waiter) = held(&server).await;
    let mut waiting = JoinSet::new();
    for _ in 0..WAITERS {
        waiting.spawn(waiter.changed(claim.name()));
    }
    until_subscribed(&server).await;
    let before = server.info("total_commands_processed");
    let second = Duration::from_secs(1);
    tokio::time::sleep(second * 2).await;
    let commands = server.info("total_commands_processed") - before;
    // A look or two a second, a PING of each store, and what asks here.
    assert!(commands < 20, "{commands} commands in two seconds");
    complete(&owner, &claim, b"r").await.unwrap();
    let all = async {
        while let Some(woken) = waiting.join_next().await {
            woken.unwrap();
        }
    };
    timeout(second, all).await.unwrap();
}
