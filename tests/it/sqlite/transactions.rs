use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tower_idempotency::{
    Effects, SqliteStore, Store, UnknownOutcome,
    store::{
        Claim, Claimed, Completion, Renewal, SqliteTransaction, StoreErrorKind, TransactionError,
    },
};

use super::{
    database::Database,
    shop::{Shop, furnish, sold},
};
use crate::support::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fingerprint, fresh, leased,
    rival, until_ok,
};

async fn shop(database: &Database) -> Shop {
    furnish(database);
    Shop::new(&database.store().await, |layer| layer)
}

/// Claims, and returns the transaction that came with it.
async fn begin(store: &SqliteStore, claim: &Claim) -> SqliteTransaction {
    match acquire(store, claim).await.unwrap() {
        Claimed::Acquired(acquired) => acquired.extensions.get().cloned().unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn write(transaction: &SqliteTransaction) -> Result<usize, TransactionError> {
    let insert = |connection: &rusqlite::Connection| {
        connection.execute("INSERT INTO sold VALUES ('a pear')", [])
    };
    transaction.run(insert).await
}

async fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_effect_is_committed_with_the_record_before_the_client_is_answered() {
    let database = Database::new();
    let shop = shop(&database).await;
    let first = shop.post("/sell", "a").await;
    assert_eq!((first.status, first.body.as_str()), (200, "sold in run 1"));
    assert_eq!(sold(&database), 1);
    let second = shop.post("/sell", "a").await;
    assert_eq!((second.body, second.replayed), (first.body, true));
    assert_eq!((sold(&database), shop.runs()), (1, 1));
    // Another process has both too.
    let other = Shop::new(&database.store().await, |layer| layer);
    assert!(other.post("/sell", "a").await.replayed);
    assert_eq!(shop.post("/sell", "b").await.body, "sold in run 2");
    assert_eq!(sold(&database), 2);
}

#[tokio::test]
async fn an_answer_of_400_and_above_is_recorded_and_undoes_the_effect() {
    let database = Database::new();
    let shop = shop(&database).await;
    for replayed in [false, true] {
        let answer = shop.post("/refuse", "a").await;
        assert_eq!(answer.status, 402);
        assert_eq!(
            (answer.body.as_str(), answer.replayed),
            ("refused in run 1", replayed)
        );
        assert_eq!(sold(&database), 0);
    }
    for replayed in [false, true] {
        let answer = shop.post("/refuse-and-keep", "b").await;
        assert_eq!((answer.status, answer.replayed), (402, replayed));
        assert_eq!(sold(&database), 1);
    }
}

#[tokio::test]
async fn what_is_not_recorded_is_rolled_back_and_runs_again_as_if_for_the_first_time() {
    let database = Database::new();
    let shop = shop(&database).await;
    for run in 1..=3 {
        let answer = shop.post("/fail", "a").await;
        assert_eq!((answer.status, answer.replayed), (500, false));
        assert_eq!((sold(&database), shop.runs()), (0, run));
    }
    for path in ["/panic", "/panic-inside"] {
        let panics = std::panic::AssertUnwindSafe(shop.post(path, path));
        assert!(
            panics.catch_unwind().await.is_err(),
            "{path} reaches the caller"
        );
        assert_eq!(sold(&database), 0);
    }
    // The connection is fit for the next.
    assert_eq!(shop.post("/sell", "b").await.status, 200);
    assert_eq!(sold(&database), 1);
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_commits_nothing_and_is_answered_503() {
    for abuse in [
        "COMMIT",
        "END",
        "ROLLBACK",
        "ROLLBACK; INSERT INTO sold VALUES ('more')",
        "COMMIT; INSERT INTO sold VALUES ('more')",
        "ROLLBACK; BEGIN; INSERT INTO sold VALUES ('more')",
        "ROLLBACK; BEGIN; INSERT INTO sold VALUES ('more'); COMMIT",
        "ROLLBACK; BEGIN; SAVEPOINT other; INSERT INTO sold VALUES ('more')",
        "RELEASE tower_idempotency",
        "INSERT OR ROLLBACK INTO items VALUES ('pear'), ('pear')",
        // This one only shows when it is committed.
        "INSERT INTO orders VALUES ('no such item')",
    ] {
        let database = Database::new();
        furnish(&database);
        let own = database.connection();
        own.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let store = SqliteStore::open_with(own).await.unwrap();
        let shop = Shop::new(&store, |layer| layer);
        for run in 1..=2 {
            let answer = shop.send("/abuse", "a", abuse).await;
            assert_eq!(
                (answer.status, shop.runs()),
                (503, run),
                "{abuse}: {answer:?}"
            );
            assert_eq!(answer.code(), "store-unavailable", "{abuse}");
            assert_eq!(sold(&database), 0, "{abuse}");
        }
        assert_eq!(shop.post("/sell", "b").await.status, 200, "{abuse}");
        assert_eq!(sold(&database), 1, "{abuse}");
    }
}

#[tokio::test]
async fn savepoints_of_the_handlers_own_are_its_own() {
    let database = Database::new();
    let shop = shop(&database).await;
    let savepoints = "SAVEPOINT a; INSERT INTO sold VALUES ('b'); ROLLBACK TO a; RELEASE a";
    assert_eq!(shop.send("/abuse", "a", savepoints).await.status, 200);
    assert_eq!(sold(&database), 2, "one write before, one after");
}

#[tokio::test]
async fn a_statement_that_fails_tells_why_and_leaves_the_rest() {
    let database = Database::new();
    let shop = shop(&database).await;
    let answer = shop.post("/error", "a").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("syntax error"), "{answer:?}");
    assert!(shop.post("/error", "a").await.replayed);
}

#[tokio::test]
async fn a_duplicate_does_not_queue_and_another_request_does() {
    let database = Database::new();
    furnish(&database);
    // The second waits for the first, however long this takes.
    let store = SqliteStore::builder().deadline(Duration::from_secs(60));
    let store = store.open(database.path()).await.unwrap();
    let shop = Shop::new(&store, |layer| layer.lease(Duration::from_secs(180)));
    let holding = shop.clone();
    let first = tokio::spawn(async move { holding.post("/hold", "a").await });
    until(|| shop.runs() == 1).await;
    for _ in 0..20 {
        let duplicate = shop.post("/hold", "a").await;
        assert_eq!(
            (duplicate.status, duplicate.code().as_str()),
            (409, "in-flight")
        );
    }
    // Of two others that are the same, one waits for its turn, and is itself in flight.
    let mut others = JoinSet::new();
    for _ in 0..2 {
        let selling = shop.clone();
        others.spawn(async move { selling.post("/sell", "b").await });
    }
    let duplicate = others.join_next().await.unwrap().unwrap();
    assert_eq!(duplicate.status, 409);
    // Its fingerprint is known, though nothing is committed.
    let mismatch = shop.send("/hold", "a", "another body").await;
    assert_eq!(mismatch.status, 422);
    assert_eq!(shop.runs(), 1, "one at a time");
    shop.till().open.notify_one();
    assert_eq!(first.await.unwrap().body, "held");
    let other = others.join_next().await.unwrap().unwrap();
    assert_eq!(other.body, "sold in run 2");
    assert_eq!(sold(&database), 3);
}

#[tokio::test]
async fn a_duplicate_that_waits_gets_the_record() {
    let database = Database::new();
    furnish(&database);
    let store = database.store().await;
    let shop = Shop::new(&store, |layer| layer.wait(Duration::from_secs(20)));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let shop = shop.clone();
        waiting.spawn(async move { shop.post("/hold", "a").await });
    }
    until(|| shop.runs() == 1).await;
    shop.till().open.notify_one();
    let answers = waiting.join_all().await;
    assert!(
        answers.iter().all(|answer| answer.body == "held"),
        "{answers:?}"
    );
    assert_eq!(answers.iter().filter(|answer| answer.replayed).count(), 19);
    assert_eq!((shop.runs(), sold(&database)), (1, 2));
}

#[tokio::test]
async fn whoever_waits_too_long_for_the_writer_is_refused_and_not_run() {
    let database = Database::new();
    furnish(&database);
    // Long enough for a slow disk.
    let store = SqliteStore::builder().deadline(Duration::from_secs(2));
    let store = store.open(database.path()).await.unwrap();
    let shop = Shop::new(&store, |layer| layer);
    let holding = shop.clone();
    let first = tokio::spawn(async move { holding.post("/hold", "a").await });
    until(|| shop.runs() == 1).await;
    let refused = shop.post("/sell", "b").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "store-unavailable")
    );
    shop.till().open.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(shop.runs(), 1);
    // What it had asked for is being called off: a client would come again.
    let mut again = shop.post("/sell", "b").await;
    while again.status == 409 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        again = shop.post("/sell", "b").await;
    }
    assert_eq!((again.status, again.replayed), (200, false));
    assert_eq!(shop.runs(), 2);
}

#[tokio::test]
async fn a_copy_of_the_transaction_that_outlives_the_handler_holds_nothing() {
    let database = Database::new();
    let shop = shop(&database).await;
    assert_eq!(shop.post("/spawn", "a").await.status, 200);
    assert_eq!(sold(&database), 1);
    assert_eq!(shop.post("/sell", "b").await.status, 200);
    assert_eq!(sold(&database), 2);
}

#[tokio::test]
async fn a_transaction_that_nobody_holds_is_rolled_back() {
    let database = Database::new();
    furnish(&database);
    let store = database.store().await.transactional();
    let claim = fresh();
    let transaction = begin(&store, &claim).await;
    write(&transaction).await.unwrap();
    drop(transaction);
    let next = rival(&claim);
    until_ok(|| async {
        match acquire(&store, &next).await? {
            Claimed::Acquired(acquired) => {
                assert_eq!((acquired.fence, acquired.attempt), (1, 1));
                Ok(())
            }
            _ => Err(tower_idempotency::store::StoreError::new(
                StoreErrorKind::Unavailable,
                "not yet",
            )),
        }
    })
    .await;
    assert_eq!(sold(&database), 0);
}

#[tokio::test]
async fn a_transaction_whose_lease_has_passed_goes_when_somebody_else_needs_the_writer() {
    let database = Database::new();
    furnish(&database);
    let store = database.store().await.transactional();
    let claim = fresh();
    let short = Claim::new(
        *claim.name(),
        *claim.owner(),
        Duration::from_millis(100),
        claim.ttl(),
    );
    let transaction = begin(&store, &short).await;
    write(&transaction).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Nobody else came.
    assert_eq!(write(&transaction).await.unwrap(), 1);
    let other = begin(&store, &fresh()).await;
    let ended = write(&transaction).await;
    assert!(matches!(ended, Err(TransactionError::Ended)), "{ended:?}");
    assert_eq!(
        complete(&store, &short, b"record").await.unwrap(),
        Completion::Undone
    );
    assert_eq!(
        store.renew(&short).await.unwrap(),
        tower_idempotency::store::Renewal::Lost
    );
    drop(other);
    assert_eq!(sold(&database), 0);
}

#[tokio::test]
async fn a_transaction_whose_lease_has_passed_goes_when_another_process_needs_the_file() {
    let database = Database::new();
    furnish(&database);
    let store = database.store().await.transactional();
    let elsewhere = SqliteStore::builder().deadline(Duration::from_secs(20));
    let elsewhere = elsewhere.open(database.path()).await.unwrap();
    let claim = leased(&fresh(), Duration::from_millis(100));
    let transaction = begin(&store, &claim).await;
    write(&transaction).await.unwrap();
    // This one hangs.
    assert_acquired(acquire(&elsewhere, &fresh()).await, 1);
    let ended = write(&transaction).await;
    assert!(matches!(ended, Err(TransactionError::Ended)), "{ended:?}");
    assert_eq!(sold(&database), 0);
}

#[tokio::test]
async fn a_transaction_whose_lease_has_passed_stays_for_whoever_has_gone_again() {
    let database = Database::new();
    furnish(&database);
    let store = SqliteStore::builder().deadline(Duration::from_secs(20));
    let store = store.open(database.path()).await.unwrap().transactional();
    let claim = leased(&fresh(), Duration::from_secs(3));
    let transaction = begin(&store, &claim).await;
    // It comes while the lease lasts, and has gone when that is over.
    let other = fresh();
    let waited = tokio::time::timeout(Duration::from_millis(500), acquire(&store, &other));
    assert!(waited.await.is_err());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(write(&transaction).await.unwrap(), 1);
    let kept = complete(&store, &claim, b"record").await.unwrap();
    assert_eq!((kept, sold(&database)), (Completion::Kept, 1));
}

#[tokio::test]
async fn an_end_that_is_told_again_is_answered_as_it_was() {
    let database = Database::new();
    let store = database.store().await.transactional();
    let claim = fresh();
    let transaction = begin(&store, &claim).await;
    for _ in 0..2 {
        let kept = complete(&store, &claim, b"record").await.unwrap();
        assert_eq!(kept, Completion::Kept);
    }
    let late = complete(&store, &rival(&claim), b"other").await.unwrap();
    assert_eq!(late, Completion::Superseded);
    drop(transaction);
}

#[tokio::test]
async fn what_ended_for_another_in_flight_is_undone() {
    let database = Database::new();
    let claimed = SqliteStore::builder().deadline(Duration::from_secs(20));
    let claimed = claimed.open(database.path()).await.unwrap();
    let store = claimed.clone().transactional();
    let claim = leased(&fresh(), Duration::from_millis(100));
    let transaction = begin(&store, &claim).await;
    assert_acquired(acquire(&claimed, &rival(&claim)).await, 1);
    let late = complete(&store, &claim, b"record").await.unwrap();
    assert_eq!(late, Completion::Undone);
    drop(transaction);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_run() {
    let database = Database::new();
    furnish(&database);
    let store = database.store().await.transactional();
    let claim = fresh();
    let transaction = begin(&store, &claim).await;
    let (go_on, wait) = std::sync::mpsc::channel();
    let first = transaction.run(move |_| Ok(wait.recv().is_ok()));
    let mut first = std::pin::pin!(first);
    assert!((&mut first).now_or_never().is_none());
    // Behind the first.
    assert!(write(&transaction).now_or_never().is_none());
    go_on.send(()).unwrap();
    assert!(first.await.unwrap());
    let kept = complete(&store, &claim, b"record").await.unwrap();
    assert_eq!((kept, sold(&database)), (Completion::Kept, 0));
}

#[tokio::test]
async fn renewal_keeps_a_transaction_whatever_waits() {
    let database = Database::new();
    furnish(&database);
    let store = SqliteStore::builder().deadline(Duration::from_secs(6));
    let store = store.open(database.path()).await.unwrap().transactional();
    let claim = leased(&fresh(), Duration::from_secs(4));
    let transaction = begin(&store, &claim).await;
    let other = fresh();
    let mut waiting = std::pin::pin!(acquire(&store, &other));
    // For longer than the lease.
    let waited = loop {
        tokio::select! {
            waited = &mut waiting => break waited,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                assert_eq!(store.renew(&claim).await.unwrap(), Renewal::Renewed);
            }
        }
    };
    assert_failed(waited, StoreErrorKind::Unavailable);
    write(&transaction).await.unwrap();
    assert_eq!(
        complete(&store, &claim, b"r").await.unwrap(),
        Completion::Kept
    );
    assert_eq!(sold(&database), 1);
}

#[tokio::test]
async fn what_cannot_be_found_out_counts_as_undone() {
    let database = Database::new();
    let store = database.store().await.transactional();
    database
        .connection()
        .execute_batch("DROP TABLE tower_idempotency")
        .unwrap();
    // An error would have the client get the handler's answer.
    let completed = complete(&store, &fresh(), b"record").await;
    assert_eq!(completed.unwrap(), Completion::Undone);
}

#[tokio::test]
async fn a_claim_of_the_other_mode_is_respected() {
    let database = Database::new();
    furnish(&database);
    let claimed = database.store().await;
    let store = claimed.clone().transactional();
    let (running, abandoned) = (fresh(), fresh());
    assert_acquired(acquire(&claimed, &running).await, 1);
    assert_acquired(acquire(&claimed, &abandoned).await, 1);
    claimed.abandon(&abandoned).await.unwrap();
    let held = acquire(&store, &rival(&running)).await.unwrap();
    assert!(matches!(held, Claimed::Held { .. }), "{held:?}");
    let refused = store
        .claim(&rival(&abandoned), &fingerprint(), UnknownOutcome::Refuse)
        .await
        .unwrap();
    assert!(matches!(refused, Claimed::Unknown { .. }), "{refused:?}");
    let next = rival(&abandoned);
    let Claimed::Acquired(acquired) = acquire(&store, &next).await.unwrap() else {
        panic!("it may run");
    };
    assert_eq!((acquired.fence, acquired.attempt), (2, 2));
    let kept = store.complete(&next, b"r".as_slice().into(), Effects::Keep);
    assert_eq!(kept.await.unwrap(), Completion::Kept);
    assert_record(acquire(&claimed, &rival(&abandoned)).await, b"r");
}

#[tokio::test]
async fn an_error_of_the_handlers_function_is_told_with_its_cause() {
    let database = Database::new();
    let store = database.store().await.transactional();
    let transaction = begin(&store, &fresh()).await;
    let fails = |_: &rusqlite::Connection| -> rusqlite::Result<()> {
        let cause = std::io::Error::other("the cause");
        Err(rusqlite::Error::ToSqlConversionFailure(cause.into()))
    };
    let error = transaction.run(fails).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the cause");
}

#[tokio::test]
async fn a_handler_may_ask_whether_there_is_a_transaction() {
    use axum::{Router, routing::post};
    use tower::ServiceExt;
    use tower_idempotency::IdempotencyLayer;

    async fn is_there(transaction: Option<SqliteTransaction>) -> &'static str {
        let shown = transaction.map(|transaction| format!("{transaction:?}"));
        match shown.as_deref() {
            Some("SqliteTransaction { .. }") => "a transaction",
            Some(_) => "something else",
            None => "none",
        }
    }
    let database = Database::new();
    let layer = IdempotencyLayer::new(database.store().await.transactional());
    let app = Router::new().route("/", post(is_there)).layer(layer);
    for (key, expected) in [(Some("k"), "a transaction"), (None, "none")] {
        let mut request = http::Request::post("/");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn a_store_that_is_not_transactional_hands_out_no_transaction() {
    let database = Database::new();
    let store = database.store().await;
    let Claimed::Acquired(acquired) = acquire(&store, &fresh()).await.unwrap() else {
        panic!("nothing is there");
    };
    assert!(acquired.extensions.get::<SqliteTransaction>().is_none());
    assert!(acquired.guard.is_some());
    let store = store.transactional();
    let Claimed::Acquired(acquired) = acquire(&store, &fresh()).await.unwrap() else {
        panic!("nothing is there");
    };
    assert!(acquired.guard.is_none());
}
