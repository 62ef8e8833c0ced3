//! A handler's own transaction, tied to its claim.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_postgres::Client;
use tower_idempotency::{
    Admin, Guard, PostgresStore, Store, UnknownOutcome,
    admin::{Force, Forgotten},
    store::{Acquired, Claim, Claimed, Renewal},
};

use crate::support::{
    claims::{acquire, fingerprint, fresh, leased, rival},
    postgres::{Driver, PostgresServer, Stores},
};

/// A store, and a connection of the handler's own.
async fn scene() -> (PostgresStore, Stores, Client) {
    let server = PostgresServer::shared();
    let stores = Stores::new(server, Driver::Deadpool);
    stores.migrate().await;
    (stores.open().await, stores, server.connect().await)
}

pub(super) async fn acquired(store: &PostgresStore, claim: &Claim) -> Acquired {
    match acquire(store, claim).await {
        Ok(Claimed::Acquired(acquired)) => acquired,
        other => panic!("{other:?}"),
    }
}

/// Runs the guard, and returns how many rows it hit.
pub(super) async fn run(client: &Client, guard: &Guard) -> u64 {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&guard.name(), &guard.owner(), &guard.fence()];
    client.execute(guard.sql(), &params).await.unwrap()
}

/// A claim whose lease has passed.
fn lapsed() -> Claim {
    leased(&fresh(), Duration::from_millis(1))
}

async fn pass() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test]
async fn it_hits_one_row_while_the_run_owns_its_key_and_none_after_a_takeover() {
    let (store, _, client) = scene().await;
    let claim = lapsed();
    let first = acquired(&store, &claim).await;
    assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 1);
    pass().await;
    // Lapsed, but nobody has taken the key over.
    assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 1);
    let second = acquired(&store, &rival(&claim)).await;
    assert_eq!((second.fence, second.effect_committed), (2, true));
    assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 0);
    assert_eq!(run(&client, second.guard.as_ref().unwrap()).await, 1);
}

/// Longer than most commits take.
const ASKED_FOR: Duration = Duration::from_millis(120);

#[tokio::test]
async fn a_key_that_its_transaction_has_is_asked_for_until_a_commit_should_be_over() {
    let (store, _, client) = scene().await;
    let claim = lapsed();
    let guard = acquired(&store, &claim).await.guard.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(run(&client, &guard).await, 1);
    pass().await;
    let start = Instant::now();
    let seen = acquire(&store, &rival(&claim)).await;
    assert!(matches!(seen, Ok(Claimed::Held { .. })), "{seen:?}");
    assert!(start.elapsed() >= ASKED_FOR, "{:?}", start.elapsed());
    let start = Instant::now();
    let forgotten = store.forget(claim.name(), Force::Yes).await.unwrap();
    assert_eq!(forgotten, Forgotten::InFlight);
    assert!(start.elapsed() >= ASKED_FOR, "{:?}", start.elapsed());
}

#[tokio::test]
async fn its_transaction_keeps_others_from_the_key_and_not_the_owner_from_renewing() {
    let (store, stores, client) = scene().await;
    let claim = lapsed();
    let guard = acquired(&store, &claim).await.guard.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(run(&client, &guard).await, 1);
    pass().await;
    let seen = acquire(&store, &rival(&claim)).await;
    assert!(matches!(seen, Ok(Claimed::Held { .. })), "{seen:?}");
    let long = leased(&claim, Duration::from_secs(60));
    let renewing = timeout(Duration::from_secs(5), store.renew(&long));
    assert_eq!(renewing.await.unwrap().unwrap(), Renewal::Renewed);
    let moved = format!(
        "SELECT count(*) FROM {} WHERE lease_until > now() + interval '50 s'",
        stores.table
    );
    let moved: i64 = PostgresServer::shared().number(&moved).await;
    assert_eq!(moved, 1, "the deadline was moved meanwhile");
    client.batch_execute("COMMIT").await.unwrap();
    let seen = acquire(&store, &rival(&claim)).await;
    assert!(matches!(seen, Ok(Claimed::Held { .. })), "{seen:?}");
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_no_effect_and_lets_the_key_go() {
    let (store, _, client) = scene().await;
    let claim = lapsed();
    let guard = acquired(&store, &claim).await.guard.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(run(&client, &guard).await, 1);
    client.batch_execute("ROLLBACK").await.unwrap();
    pass().await;
    let second = acquired(&store, &rival(&claim)).await;
    assert_eq!((second.fence, second.effect_committed), (2, false));
}

#[tokio::test]
async fn who_is_refused_is_told_that_the_effect_is_there() {
    let (store, _, client) = scene().await;
    for committed in [false, true] {
        let claim = fresh();
        let first = acquired(&store, &claim).await;
        if committed {
            assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 1);
        }
        // A resend is told as well.
        assert_eq!(acquired(&store, &claim).await.effect_committed, committed);
        store.abandon(&claim).await.unwrap();
        let refused = store
            .claim(&rival(&claim), &fingerprint(), UnknownOutcome::Refuse)
            .await;
        match refused {
            Ok(Claimed::Unknown {
                effect_committed, ..
            }) => assert_eq!(effect_committed, committed),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            acquired(&store, &rival(&claim)).await.effect_committed,
            committed
        );
    }
}

#[tokio::test]
async fn a_release_forgets_no_effect() {
    let (store, _, client) = scene().await;
    let claim = fresh();
    let first = acquired(&store, &claim).await;
    assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 1);
    store.release(&claim).await.unwrap();
    let second = acquired(&store, &rival(&claim)).await;
    assert_eq!((second.fence, second.effect_committed), (2, true));
}

#[tokio::test]
async fn a_release_that_waited_for_an_effect_does_not_forget_it() {
    let (store, _, client) = scene().await;
    for committed in [true, false] {
        let claim = fresh();
        let first = acquired(&store, &claim).await;
        client.batch_execute("BEGIN").await.unwrap();
        assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 1);
        let releasing = tokio::spawn({
            let (store, claim) = (store.clone(), claim);
            async move { store.release(&claim).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!releasing.is_finished(), "the transaction has the key");
        let end = if committed { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await.unwrap();
        releasing.await.unwrap().unwrap();
        let second = acquired(&store, &rival(&claim)).await;
        let expected = if committed { (2, true) } else { (1, false) };
        assert_eq!((second.fence, second.effect_committed), expected);
    }
}

#[tokio::test]
async fn a_name_that_expired_has_no_effect_any_more() {
    let (store, _, client) = scene().await;
    let claim = fresh();
    let moment = Duration::from_millis(1);
    let brief = Claim::new(
        *claim.name(),
        *claim.owner(),
        Duration::from_secs(1),
        moment,
    );
    let first = acquired(&store, &brief).await;
    assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(run(&client, first.guard.as_ref().unwrap()).await, 0);
    let second = acquired(&store, &rival(&claim)).await;
    assert_eq!((second.fence, second.effect_committed), (1, false));
}

/// Whoever takes a key over at the very moment at which its former owner commits learns of that,
/// or keeps it from committing.
#[tokio::test(flavor = "multi_thread")]
async fn no_commit_slips_through_a_takeover() {
    let (store, _, client) = scene().await;
    let (mut committed, mut taken_over) = (0, 0);
    for _ in 0..300 {
        let claim = lapsed();
        let guard = acquired(&store, &claim).await.guard.unwrap();
        pass().await;
        let taking = tokio::spawn({
            let (store, claim) = (store.clone(), rival(&claim));
            async move {
                loop {
                    match acquire(&store, &claim).await {
                        Ok(Claimed::Acquired(acquired)) => return acquired,
                        Ok(Claimed::Held { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
        // Commits by itself.
        let hit = run(&client, &guard).await == 1;
        let second = taking.await.unwrap();
        assert_eq!(second.effect_committed, hit);
        committed += u32::from(hit);
        taken_over += u32::from(!hit);
    }
    assert!(
        committed > 0 && taken_over > 0,
        "{committed} to {taken_over} is no race"
    );
}
