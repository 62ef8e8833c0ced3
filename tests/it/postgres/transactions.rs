//! The handler's writes and the record: all, or nothing.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tower_idempotency::store::StoreErrorKind;

use crate::support::{
    claims::{acquire, assert_failed, fresh},
    postgres::{Driver, PostgresServer, Shop, Stores},
};

/// Waits until something is so, which takes a server a moment.
async fn until(server: &PostgresServer, statement: &str, expected: i64) {
    let start = std::time::Instant::now();
    loop {
        let seen = server.number(statement).await;
        if seen == expected {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{statement}: {seen}, not {expected}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Nobody but who asks is in a transaction, or has a lock.
async fn is_quiet(server: &PostgresServer) {
    let open = "SELECT count(*) FROM pg_stat_activity \
                WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'";
    until(server, open, 0).await;
    until(
        server,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
        0,
    )
    .await;
}

#[tokio::test]
async fn an_answer_is_there_with_its_effect_and_is_replayed() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        for number in 0..20 {
            let key = format!("k{number}");
            let first = shop.ask(&key, "pay").await;
            assert_eq!((first.status, first.is_replay()), (201, false), "{first:?}");
            let again = shop.ask(&key, "pay").await;
            assert_eq!((again.status, again.is_replay()), (201, true), "{again:?}");
            assert_eq!(first.body, again.body);
        }
        assert_eq!(shop.runs(), 20);
        assert_eq!(shop.all_effects(&server).await, (20, 20));
        is_quiet(&server).await;
        // sqlx gives connections back from a task, and opens another meanwhile.
        if driver == Driver::Deadpool {
            let connections =
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
            // Ours, and the pool's only one, which served all.
            until(&server, connections, 2).await;
            drop(shop);
            until(&server, connections, 1).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_recorded_is_undone_and_runs_as_if_for_the_first_time() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let shop = Shop::open(server, driver).await;
        for what in ["answer 503", "answer 500", "answer 401", "panic"] {
            let asked = AssertUnwindSafe(shop.ask(what, what)).catch_unwind().await;
            assert_eq!(asked.is_err(), what == "panic");
            assert_eq!(shop.effects(server, what).await, 0, "{what}");
            let again = shop.ask(what, "pay").await;
            assert_eq!(
                (again.status, again.is_replay()),
                (201, false),
                "{what}: {again:?}"
            );
            assert_eq!(shop.effects(server, what).await, 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_recorded_refusal_undoes_the_writes_unless_the_handler_keeps_them() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let shop = Shop::open(server, driver).await;
        for (what, status, effects) in [
            ("answer 422", 422, 0),
            ("keep 422", 422, 1),
            ("answer 302", 302, 1),
        ] {
            let first = shop.ask(what, what).await;
            assert_eq!(
                (first.status, first.is_replay()),
                (status, false),
                "{first:?}"
            );
            let again = shop.ask(what, what).await;
            assert_eq!(
                (again.status, again.is_replay()),
                (status, true),
                "{what}: {again:?}"
            );
            assert_eq!(shop.effects(server, what).await, effects, "{what}");
        }
        assert_eq!(shop.runs(), 3);
    }
}

#[tokio::test]
async fn a_refusal_is_recorded_after_a_failed_statement_too() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let shop = Shop::open(server, driver).await;
        // It answers as if nothing had happened.
        let swallowed = shop.ask("a", "run SELECT 1 / 0").await;
        assert_eq!(swallowed.code(), Some("store-unavailable"), "{swallowed:?}");
        assert_eq!(shop.effects(server, "a").await, 0);
        // The transaction has failed: on a new connection, nothing could be prepared any more.
        for number in 0..3 {
            let fresh = shop.another(|layer| layer).await;
            let key = format!("b {number}");
            let refused = fresh.ask(&key, "fail 422").await;
            assert_eq!(
                (refused.status, refused.is_replay()),
                (422, false),
                "{refused:?}"
            );
            assert!(fresh.ask(&key, "pay").await.is_replay());
            assert_eq!(shop.effects(server, &key).await, 0);
        }
    }
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_itself_gets_a_clear_error() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let shop = Shop::open(server, driver).await;
        // What it commits is there without the record, and once more after each retry.
        for (what, committed) in [
            ("run COMMIT", 1),
            ("run ROLLBACK", 0),
            ("run COMMIT; BEGIN", 1),
            ("run ROLLBACK; BEGIN", 0),
            ("run COMMIT AND CHAIN", 1),
            ("run ROLLBACK; BEGIN; SAVEPOINT tower_idempotency", 0),
        ] {
            for setup in [false, true] {
                let key = format!("{what} {setup}");
                let shop = if setup {
                    shop.another(|layer| layer.outcome(|_| tower_idempotency::Outcome::Final))
                        .await
                } else {
                    shop.clone()
                };
                for runs in 1..=2 {
                    let answer = shop.ask(&key, what).await;
                    assert_eq!(
                        answer.code(),
                        Some("store-unavailable"),
                        "{what}: {answer:?}"
                    );
                    let effects = shop.effects(server, &key).await;
                    assert_eq!(effects, runs * committed, "{what}");
                }
                let again = shop.ask(&key, "pay").await;
                assert_eq!(
                    (again.status, again.is_replay()),
                    (201, false),
                    "{what}: {again:?}"
                );
                let effects = shop.effects(server, &key).await;
                assert_eq!(effects, 2 * committed + 1, "{what}");
            }
        }
        // Savepoints are the handler's to use.
        let script = "run SAVEPOINT mine; SELECT 1 / 0";
        assert_eq!(shop.ask("savepoint", script).await.status, 503);
        let script = "run SAVEPOINT mine; SELECT 1; ROLLBACK TO SAVEPOINT mine";
        assert_eq!(shop.ask("savepoint", script).await.status, 201);
    }
}

/// sqlx counts the layer's transaction: what is begun within it is a savepoint.
#[cfg(feature = "sqlx")]
#[tokio::test]
async fn what_sqlx_begins_within_the_transaction_is_a_part_of_it() {
    let server = PostgresServer::start();
    let shop = Shop::open(&server, Driver::Sqlx).await;
    let mut stores = shop.stores.clone();
    // Every run has the connection of the one before.
    stores.connections = 1;
    let shop = shop.with_stores(stores, |layer| layer).await;
    for (what, status, effects) in [
        ("nest commit 201", 201, 2),
        ("nest rollback 201", 201, 1),
        ("nest drop 201", 201, 1),
        ("nest commit 422", 422, 0),
        ("nest rollback 422", 422, 0),
    ] {
        let first = shop.ask(what, what).await;
        assert_eq!((first.status, first.is_replay()), (status, false), "{what}");
        let again = shop.ask(what, what).await;
        assert_eq!((again.status, again.is_replay()), (status, true), "{what}");
        assert_eq!(shop.effects(&server, what).await, effects, "{what}");
    }
    for what in ["nest commit 503", "nest forget 503", "nest forget 201"] {
        let answer = shop.ask(what, what).await;
        assert_eq!(answer.status, 503, "{what}: {answer:?}");
        assert_eq!(shop.effects(&server, what).await, 0, "{what}");
        assert_eq!(shop.ask(what, "pay").await.status, 201, "{what}");
        assert_eq!(shop.effects(&server, what).await, 1, "{what}");
    }
    is_quiet(&server).await;
}

#[tokio::test]
async fn a_handler_that_keeps_the_transaction_gets_a_clear_error_and_loses_it() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        let answer = shop.ask("a", "keep-it").await;
        assert_eq!(answer.code(), Some("store-unavailable"), "{answer:?}");
        // The key is held as long as that goes on.
        assert_eq!(shop.ask("a", "pay").await.code(), Some("in-flight"));
        shop.gate.open();
        is_quiet(&server).await;
        assert_eq!(shop.effects(&server, "a").await, 0);
        assert_eq!(shop.ask("a", "pay").await.status, 201);
        assert_eq!(shop.effects(&server, "a").await, 1);
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_503_and_all_is_undone() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let shop = Shop::open(server, driver).await;
        assert_eq!(shop.ask("a", "number 1").await.status, 201);
        let answer = shop.ask("b", "number 1").await;
        assert_eq!(answer.code(), Some("store-unavailable"), "{answer:?}");
        assert_eq!(shop.effects(server, "b").await, 0);
        assert_eq!(shop.ask("b", "number 2").await.status, 201);
    }
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn the_log_says_why_a_transaction_is_undone() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let shop = Shop::open(server, driver).await;
        assert_eq!(shop.ask("a", "number 1").await.status, 201);
        for (what, reason) in [
            ("number 1", "the commit failed"),
            ("fail 201", "a statement of the handler failed"),
            ("run COMMIT", "the handler ended the transaction by itself"),
        ] {
            let said = {
                let (log, _guards) = crate::support::log::Log::capture();
                assert_eq!(shop.ask(what, what).await.status, 503);
                log.text()
            };
            let undone = |line: &&str| line.contains("was rolled back");
            let line = said.lines().find(undone).expect("it is said");
            assert!(line.starts_with("WARN") && line.contains(reason), "{line}");
            let (log, _guards) = crate::support::log::Log::capture();
            assert_eq!(shop.ask(&format!("{what} paid"), "pay").await.status, 201);
            assert!(!log.text().contains("was rolled back"), "{}", log.text());
        }
    }
}

#[tokio::test]
async fn a_handler_that_asks_for_what_is_not_there_is_told_why() {
    use axum::{Router, routing::post};
    use tower::ServiceExt;
    use tower_idempotency::{IdempotencyLayer, PgTransaction};

    type Transaction = PgTransaction<deadpool_postgres::Client>;

    async fn handle(request: http::Request<axum::body::Body>) -> String {
        let transaction = match Transaction::of(request.extensions()) {
            Ok(transaction) => transaction,
            Err(missing) => return missing.to_string(),
        };
        let twice = Transaction::of(request.extensions()).unwrap_err();
        format!("{transaction:?}, {twice}")
    }
    let stores = Stores::transactional(PostgresServer::shared(), Driver::Deadpool);
    stores.migrate().await;
    let layer = IdempotencyLayer::new(stores.open().await);
    let app = Router::new().route("/", post(handle)).layer(layer);
    let none = "the request has no such transaction: ";
    let twice = "PgTransaction { .. }, the request's transaction is in use";
    for (key, expected) in [(None, none), (Some("a"), twice)] {
        let mut request = http::Request::post("/");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let body = app.clone().oneshot(request).await.unwrap().into_body();
        let told = axum::body::to_bytes(body, 1000).await.unwrap();
        assert!(told.starts_with(expected.as_bytes()), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_in_flight_is_refused_or_waits_even_with_two_connections() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        let mut stores = shop.stores.clone();
        stores.connections = 2;
        let waits =
            |layer: tower_idempotency::IdempotencyLayer<_>| layer.wait(Duration::from_secs(30));
        let small = shop.with_stores(stores, waits).await;
        let first = tokio::spawn(small.start("a", "hold"));
        while small.runs() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(shop.ask("a", "pay").await.code(), Some("in-flight"));
        let mut duplicates = JoinSet::new();
        for _ in 0..50 {
            duplicates.spawn(small.start("a", "pay"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        // Who waits has no connection: another key gets one.
        let other = tokio::time::timeout(Duration::from_secs(20), small.ask("b", "pay")).await;
        assert_eq!(other.unwrap().status, 201);
        small.gate.open();
        assert_eq!(first.await.unwrap().status(), 201);
        for duplicate in duplicates.join_all().await {
            assert_eq!(duplicate.status(), 201);
            assert!(duplicate.headers().contains_key("idempotency-replayed"));
        }
        assert_eq!(small.runs(), 2);
        assert_eq!(shop.effects(&server, "a").await, 1);
        is_quiet(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_terminated_takes_all_of_the_run_with_it() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        for round in 0..5 {
            let key = format!("k{round}");
            let shop = shop.another(|layer| layer).await;
            let first = tokio::spawn(shop.start(&key, "hold"));
            while shop.runs() == 0 {
                tokio::task::yield_now().await;
            }
            let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                             WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL \
                             AND backend_type = 'client backend'";
            assert_eq!(server.number(terminate).await, 1);
            is_quiet(&server).await;
            shop.gate.open();
            assert_eq!(first.await.unwrap().status(), 503);
            assert_eq!(shop.effects(&server, &key).await, 0);
            assert_eq!(shop.ask(&key, "pay").await.status, 201);
            assert_eq!(shop.effects(&server, &key).await, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_undoes_one_of_two_and_its_retry_carries_it_out() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        let one = tokio::spawn(shop.start("one", "lock 1 2"));
        let other = tokio::spawn(shop.start("other", "lock 2 1"));
        let locks = "SELECT count(*) FROM pg_locks \
                     WHERE locktype = 'advisory' AND classid = 0 AND objid IN (1, 2)";
        until(&server, locks, 2).await;
        shop.gate.open();
        let mut answers = [("one", one.await.unwrap()), ("other", other.await.unwrap())];
        answers.sort_by_key(|(_, answer)| answer.status());
        let statuses = answers
            .each_ref()
            .map(|(_, answer)| answer.status().as_u16());
        assert_eq!(statuses, [201, 503]);
        let [(carried_out, _), (undone, _)] = answers;
        // The handler is not run again behind the client's back.
        assert_eq!(shop.runs(), 2);
        assert_eq!(shop.effects(&server, carried_out).await, 1);
        assert_eq!(shop.effects(&server, undone).await, 0);
        assert_eq!(shop.ask(undone, "lock 1 2").await.status, 201);
        assert_eq!(shop.all_effects(&server).await, (2, 2));
        is_quiet(&server).await;
    }
}

/// Requests whose futures are dropped at every moment of their life, at the store itself too.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_dropped_futures_leaves_no_transaction_open_and_no_connection_within_one() {
    use rand::RngExt;
    use tower_idempotency::{Effects, Store, store::Claimed};

    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        let store = shop.stores.open().await;
        let mut callers = JoinSet::new();
        for caller in 0..8 {
            let (shop, store) = (shop.clone(), store.clone());
            callers.spawn(async move {
                for round in 0..150 {
                    let patience = Duration::from_micros(rand::rng().random_range(0..4000));
                    let key = format!("storm {caller} {round}");
                    let _ = tokio::time::timeout(patience, shop.start(&key, "pay")).await;
                    let claim = fresh();
                    let whole = async {
                        let claimed = acquire(&store, &claim).await;
                        if let Ok(Claimed::Acquired(_held)) = &claimed {
                            match round % 3 {
                                0 => drop(store.complete(&claim, "r".into(), Effects::Undo).await),
                                1 => drop(store.release(&claim).await),
                                _ => {}
                            }
                        }
                    };
                    let _ = tokio::time::timeout(patience, whole).await;
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
        is_quiet(&server).await;
        let (effects, keys) = shop.all_effects(&server).await;
        assert_eq!(effects, keys, "no key was carried out twice");
        // Every connection of the pool serves the next who borrows it.
        for number in 0..20 {
            assert_eq!(
                shop.ask(&format!("after {number}"), "pay").await.status,
                201
            );
        }
        is_quiet(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_strictest_isolation_every_key_is_carried_out_once() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        let mut stores = shop.stores.clone();
        stores.url += "?options=-c%20default_transaction_isolation%3Dserializable";
        let strict = shop.with_stores(stores, |layer| layer).await;
        let mut clients = JoinSet::new();
        for key in 0..10 {
            for _ in 0..4 {
                let strict = strict.clone();
                clients.spawn(async move {
                    // As a client would: until it is answered.
                    while strict.ask(&format!("k{key}"), "pay").await.status != 201 {}
                });
            }
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        assert_eq!(shop.all_effects(&server).await, (10, 10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_promoted_has_both_the_effect_and_the_record_or_neither() {
    let server = PostgresServer::start();
    let shop = Shop::open(&server, Driver::Deadpool).await;
    let standby = server.standby();
    let mut answered = 0;
    for number in 0..200 {
        assert_eq!(shop.ask(&format!("k{number}"), "pay").await.status, 201);
        answered += 1;
    }
    // It follows as it can; what it has not, it loses.
    standby.promote();
    drop(server);
    let mut stores = shop.stores.clone();
    stores.url = standby.url();
    let promoted = shop.with_stores(stores, |layer| layer).await;
    let (effects, keys) = promoted.all_effects(&standby).await;
    let records = format!("SELECT count(*) FROM {}", shop.stores.table);
    assert_eq!(standby.number(&records).await, effects);
    assert_eq!(effects, keys);
    for number in 0..answered {
        assert_eq!(promoted.ask(&format!("k{number}"), "pay").await.status, 201);
    }
    assert_eq!(promoted.all_effects(&standby).await, (answered, answered));
    assert_eq!(
        promoted.runs(),
        usize::try_from(answered - effects).unwrap()
    );
}

/// There, a claim could be begun beside a run on the primary.
#[tokio::test]
async fn a_standby_is_unavailable_and_runs_nothing() {
    let server = PostgresServer::start();
    let mut shops = Vec::new();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        assert_eq!(shop.ask("paid", "pay").await.status, 201);
        shops.push(shop);
    }
    let standby = server.standby();
    for shop in shops {
        let mut stores = shop.stores.clone();
        stores.url = standby.url();
        let seen = acquire(&stores.open().await, &fresh()).await;
        assert_failed(seen, StoreErrorKind::Unavailable);
        let follower = shop.with_stores(stores, |layer| layer).await;
        for key in ["new", "paid"] {
            let answer = follower.ask(key, "pay").await;
            assert_eq!(answer.code(), Some("store-unavailable"), "{answer:?}");
        }
        assert_eq!(follower.runs(), 0);
        assert_eq!(shop.all_effects(&server).await, (1, 1));
    }
}
