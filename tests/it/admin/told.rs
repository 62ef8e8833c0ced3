//! What is done by hand is in the log, whatever the store.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use http::Response;
use tower_idempotency::{
    Admin, MemoryStore, Store,
    admin::{Force, Forgotten, List, Repair, Repaired},
};

use crate::{
    sqlite::database::Database,
    support::{
        claims::{acquire, complete, fresh},
        log::Log,
        postgres::{Driver, PostgresServer, Stores},
        redis::RedisServer,
        redis_store::patient,
    },
};

const PAGE: &str = include_str!("../../../docs/observability.md");

/// The rows of the page's table: a level and a message.
fn documented() -> BTreeSet<(String, String)> {
    let heading = "| level | what an operator did | when |";
    let table = PAGE.split_once(heading).expect("the page has the table").1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cell = |row: &str, place| row.split('|').nth(place).unwrap().trim().to_owned();
    rows.map(|row| (cell(row, 1), cell(row, 2))).collect()
}

/// Does everything that can be done by hand, and has some of it refused.
async fn everything<S: Store + Admin>(store: &S) {
    let (done, unknown, live) = (fresh(), fresh(), fresh());
    acquire(store, &done).await.unwrap();
    complete(store, &done, b"of a client").await.unwrap();
    acquire(store, &unknown).await.unwrap();
    store.abandon(&unknown).await.unwrap();
    acquire(store, &live).await.unwrap();

    store.list(&List::new()).await.unwrap();
    let entry = store.find(unknown.name()).await.unwrap().unwrap();
    store.record(done.name()).await.unwrap().unwrap();
    let repair = || Repair::new(&entry, Response::new(Bytes::from("by an operator"))).unwrap();
    let repaired = store.repair(&repair()).await.unwrap();
    assert_eq!(repaired, Repaired::Recorded);
    let repaired = store.repair(&repair()).await.unwrap();
    assert_eq!(repaired, Repaired::Completed);
    let forgotten = store.forget(live.name(), Force::No).await.unwrap();
    assert_eq!(forgotten, Forgotten::InFlight);
    for (claim, force) in [(&live, Force::Yes), (&done, Force::No)] {
        let forgotten = store.forget(claim.name(), force).await.unwrap();
        assert_eq!(forgotten, Forgotten::Forgotten);
    }
}

/// The lines of a log that are the layer's own: drivers show their statements.
fn ours(log: &str) -> impl Iterator<Item = &str> {
    log.lines()
        .filter(|line| line.contains(" tower_idempotency::events "))
}

/// What a log tells: level and message.
fn told(log: &str) -> BTreeSet<(String, String)> {
    let told = ours(log).map(|line| {
        let (head, rest) = line.split_once(" message=").expect("an event");
        let level = head.split(' ').next().unwrap();
        let message = rest.split(" record=").next().unwrap();
        let message = message.split(" entries=").next().unwrap();
        (level.to_owned(), message.to_owned())
    });
    told.collect()
}

async fn tells_of_everything<S: Store + Admin>(what: &str, store: &S) {
    let (log, _guards) = Log::capture();
    everything(store).await;
    let text = log.text();
    assert_eq!(told(&text), documented(), "{what}: {text}");
    let is_forgotten = |line: &&str| line.contains("had a record forgotten");
    let forced = ours(&text).filter(is_forgotten);
    let forced: Vec<_> = forced.map(|line| line.contains("forced=true")).collect();
    assert_eq!(forced, [true, false], "{what}: {text}");
    for body in ["of a client", "by an operator"] {
        assert!(
            ours(&text).all(|line| !line.contains(body)),
            "{what}: {text}"
        );
    }
}

#[tokio::test]
async fn every_act_is_an_event_and_the_page_lists_them() {
    tells_of_everything("memory", &MemoryStore::new()).await;
    tells_of_everything("shared", &Arc::new(MemoryStore::new())).await;
    let database = Database::new();
    tells_of_everything("sqlite", &database.store().await).await;
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    tells_of_everything("redis", &store).await;
    for driver in Driver::ALL {
        let stores = Stores::new(PostgresServer::shared(), driver);
        stores.migrate().await;
        tells_of_everything("postgres", &stores.open().await).await;
    }
    #[cfg(feature = "encryption")]
    {
        use tower_idempotency::store::{Encrypted, KeyRing};

        let store = Encrypted::new(MemoryStore::new(), KeyRing::new(1, &[1; 32]));
        tells_of_everything("encrypted", &store).await;
    }
}
