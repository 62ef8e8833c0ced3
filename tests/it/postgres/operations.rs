use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::timeout};
use tower_idempotency::{
    Admin, PostgresStore, Store,
    admin::List,
    store::{Claim, Claimed, Completion, PostgresConnectErrorKind},
};

use crate::support::{
    claims::{acquire, assert_acquired, assert_record, complete, fresh, rival},
    postgres::{Driver, PostgresServer, Stores},
};

async fn on(server: &PostgresServer) -> (Stores, PostgresStore) {
    let stores = Stores::new(server, Driver::Deadpool);
    stores.migrate().await;
    let store = stores.open().await;
    (stores, store)
}

#[tokio::test]
async fn a_replay_and_a_held_key_write_nothing() {
    let server = PostgresServer::start();
    let (_, store) = on(&server).await;
    let (completed, held) = (fresh(), fresh());
    assert_acquired(acquire(&store, &completed).await, 1);
    complete(&store, &completed, b"r").await.unwrap();
    assert_acquired(acquire(&store, &held).await, 1);
    // Whatever writes takes a number.
    let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let before = server.number(next).await;
    for _ in 0..50 {
        assert_record(acquire(&store, &rival(&completed)).await, b"r");
        let seen = acquire(&store, &rival(&held)).await;
        assert!(
            matches!(seen, Ok(Claimed::Held { left: Some(_), .. })),
            "{seen:?}"
        );
        // A resend of the owner's.
        assert_acquired(acquire(&store, &held).await, 1);
    }
    // The server's own housekeeping may take one.
    let taken = server.number(next).await - before;
    assert!(taken < 10, "{taken} transactions wrote");
}

#[tokio::test]
async fn a_store_shows_its_table_and_its_settings() {
    let (stores, store) = on(PostgresServer::shared()).await;
    let builder = PostgresStore::builder();
    let builder = builder.listen_with(stores.url.parse().unwrap(), tokio_postgres::NoTls);
    let shown = format!("{builder:?}");
    assert!(shown.contains("Connecting"), "{shown}");
    let shown = format!("{store:?}");
    assert!(shown.starts_with("PostgresStore {"), "{shown}");
    assert!(shown.contains("transactional: false"), "{shown}");
}

#[tokio::test]
async fn rows_that_this_version_cannot_read_are_counted_and_those_that_expired_are_not() {
    let server = PostgresServer::shared();
    let (stores, store) = on(server).await;
    let [held, strange, short] = [(); 3].map(|()| fresh());
    for claim in [&held, &strange, &short] {
        assert_acquired(acquire(&store, claim).await, 1);
    }
    let expired = fresh();
    let moment = Duration::from_millis(1);
    let expired = Claim::new(*expired.name(), *expired.owner(), expired.lease(), moment);
    complete(&store, &expired, b"r").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    for (claim, damage) in [(&strange, "state = 'Z'"), (&short, "fingerprint = ''")] {
        let (table, name) = (&stores.table, claim.name());
        let update = format!("UPDATE {table} SET {damage} WHERE name = '\\x{name:x}'");
        server.run(&update).await;
    }
    let page = store.list(&List::new()).await.unwrap();
    assert_eq!((page.entries.len(), page.unreadable), (1, 2));
    assert_eq!(page.entries[0].name, *held.name());
}

#[tokio::test]
async fn why_no_store_was_made_of_a_url_is_told_with_its_cause() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = port.local_addr().unwrap().port();
    let nowhere = format!("postgres://127.0.0.1:{port}/none");
    for (url, kind, start) in [
        (
            "nonsense",
            PostgresConnectErrorKind::Invalid,
            "invalid settings: ",
        ),
        (
            nowhere.as_str(),
            PostgresConnectErrorKind::Unreachable,
            "the server cannot be reached: ",
        ),
    ] {
        let error = PostgresStore::builder().connect(url).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        let told = error.to_string();
        assert!(
            told.starts_with(start) && told.len() > start.len(),
            "{told}"
        );
    }
}

async fn until_one_waits(server: &PostgresServer) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let start = Instant::now();
    while server.number(waiting).await != 1 {
        assert!(start.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It finds no claim of its own to lock; then that comes in, and is abandoned while it goes on.
#[tokio::test]
async fn a_release_that_overtakes_its_claim_does_not_free_what_was_abandoned_meanwhile() {
    let server = PostgresServer::start();
    let (stores, store) = on(&server).await;
    let table = &stores.table;
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let set_owner = async |owner: &[u8]| {
        let update = format!("UPDATE {table} SET owner = $1");
        let updated = server.connect().await.execute(&update, &[&owner]).await;
        assert_eq!(updated.unwrap(), 1);
    };
    set_owner(&[0; 16]).await;
    // What the second statement of a release needs, and the first does not.
    let effects = server.connect().await;
    let lock = format!("BEGIN; LOCK TABLE {table}_effects");
    effects.batch_execute(&lock).await.unwrap();
    let release = tokio::spawn({
        let store = store.clone();
        async move { store.release(&claim).await }
    });
    until_one_waits(&server).await;
    set_owner(claim.owner().as_bytes()).await;
    let abandon = server.connect().await;
    let update = format!("BEGIN; UPDATE {table} SET state = 'A'");
    abandon.batch_execute(&update).await.unwrap();
    effects.batch_execute("COMMIT").await.unwrap();
    until_one_waits(&server).await;
    abandon.batch_execute("COMMIT").await.unwrap();
    release.await.unwrap().unwrap();
    let left = format!("SELECT count(*) FROM {table} WHERE state = 'A'");
    assert_eq!(server.number(&left).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_make_the_tables_at_once_and_again() {
    let stores = Stores::new(PostgresServer::shared(), Driver::Deadpool);
    for _ in 0..2 {
        let mut servers = JoinSet::new();
        for number in 0..12 {
            let driver = Driver::ALL[number % Driver::ALL.len()];
            let stores = Stores {
                driver,
                ..stores.clone()
            };
            servers.spawn(async move { stores.open().await.migrate().await });
        }
        for made in servers.join_all().await {
            made.unwrap();
        }
    }
    assert_acquired(acquire(&stores.open().await, &fresh()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_waits_for_nobody_who_writes_and_nobody_for_it() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let mut stores = Stores::new(server, driver);
        // All of what may have been made, at whichever time.
        for drop in ["", "INDEX {}_expires_at", "TABLE {}_effects", "TABLE {}"] {
            if !drop.is_empty() {
                let drop = drop.replace("{}", &stores.table);
                server.run(&format!("DROP {drop}")).await;
            }
            stores.migrate().await;
            assert_acquired(acquire(&stores.open().await, &fresh()).await, 1);
            let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = '{}'";
            assert_eq!(
                server.number(&indexes.replace("{}", &stores.table)).await,
                2
            );
        }
        // One that was stopped before it committed, say.
        let writing = server.connect().await;
        let write = format!("BEGIN; UPDATE {} SET attempt = attempt", stores.table);
        writing.batch_execute(&write).await.unwrap();
        // Nor does it need the rights to make anything.
        stores.url += "?options=-c%20default_transaction_read_only%3Don";
        let migrated = stores.open().await;
        timeout(Duration::from_secs(60), migrated.migrate())
            .await
            .expect("it waits for nobody")
            .unwrap();
    }
}

#[tokio::test]
async fn names_are_quoted_and_those_that_would_be_changed_are_refused() {
    let server = PostgresServer::shared();
    server
        .run(r#"CREATE SCHEMA IF NOT EXISTS "a ""schema""; x""#)
        .await;
    let stores = Stores::new(server, Driver::Deadpool);
    let named = |schema: &str, table: &str| {
        let builder = PostgresStore::builder().schema(schema).table(table);
        builder.pool(stores.deadpool())
    };
    let store = named("a \"schema\"; x", "Odd \"table\"").unwrap();
    store.migrate().await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    let long = "t".repeat(53);
    for (schema, table) in [
        ("", "t"),
        ("public", ""),
        ("public", "a\0b"),
        ("public", &long),
    ] {
        let refused = named(schema, table).unwrap_err();
        assert!(
            refused.to_string().contains("is no name for a table"),
            "{refused}"
        );
    }
    assert!(named("public", &long[1..]).is_ok());
}

#[tokio::test]
async fn stores_with_other_tables_have_nothing_to_do_with_each_other() {
    let server = PostgresServer::shared();
    for transactional in [false, true] {
        let claim = fresh();
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let mut stores = Stores::new(server, Driver::Deadpool);
            stores.transactional = transactional;
            stores.migrate().await;
            let store = stores.open().await;
            let acquired = acquire(&store, &claim).await;
            assert!(matches!(acquired, Ok(Claimed::Acquired(_))), "{acquired:?}");
            held.push((store, acquired));
            // As in another process.
            waiting.push(tokio::spawn(stores.open().await.changed(claim.name())));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        complete(&held[0].0, &claim, b"r").await.unwrap();
        let [first, second] = &mut waiting[..] else {
            unreachable!("two wait")
        };
        timeout(Duration::from_secs(20), first)
            .await
            .unwrap()
            .unwrap();
        assert!(timeout(Duration::from_millis(500), second).await.is_err());
    }
}

#[tokio::test]
async fn advisory_locks_of_the_applications_own_are_in_nobodys_way() {
    let server = PostgresServer::start();
    let application = server.connect().await;
    let locks = "SELECT pg_advisory_lock(key) FROM generate_series(-9, 9) AS key";
    application.execute(locks, &[]).await.unwrap();
    for transactional in [false, true] {
        let mut stores = Stores::new(&server, Driver::Deadpool);
        stores.transactional = transactional;
        stores.deadline = Duration::from_secs(60);
        let migrated = timeout(Duration::from_secs(40), stores.migrate());
        migrated.await.expect("nobody has its lock");
        let (owner, waiter) = (stores.open().await, stores.open().await);
        let claim = fresh();
        let acquired = acquire(&owner, &claim).await;
        let changed = tokio::spawn(waiter.changed(claim.name()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        complete(&owner, &claim, b"r").await.unwrap();
        assert_acquired(acquired, 1);
        let changed = timeout(Duration::from_secs(40), changed);
        changed.await.expect("nobody has its lock").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_is_deleted_in_batches_by_many_servers_and_the_rest_stays() {
    let server = PostgresServer::shared();
    let stores = Stores::new(server, Driver::Deadpool);
    stores.migrate().await;
    let store = stores.open().await;
    let (kept, moment) = (fresh(), Duration::from_millis(1));
    assert_acquired(acquire(&store, &kept).await, 1);
    for _ in 0..250 {
        let claim = fresh();
        let claim = Claim::new(*claim.name(), *claim.owner(), moment, moment);
        assert_acquired(acquire(&store, &claim).await, 1);
        if claim.name().as_bytes()[0] % 2 == 0 {
            let kept = complete(&store, &claim, b"r").await.unwrap();
            assert_eq!(kept, Completion::Kept);
        }
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut cleaning = JoinSet::new();
    for _ in 0..4 {
        let builder = PostgresStore::builder()
            .table(&stores.table)
            .cleanup_batch(10);
        let store = builder.pool(stores.deadpool()).unwrap();
        cleaning.spawn(async move { store.clean_up().await.unwrap() });
    }
    let deleted: u64 = cleaning.join_all().await.into_iter().sum();
    assert_eq!(deleted, 250, "each by one of them");
    let left = format!("SELECT count(*) FROM {}", stores.table);
    assert_eq!(server.number(&left).await, 1);
    let seen = acquire(&store, &rival(&kept)).await;
    assert!(matches!(seen, Ok(Claimed::Held { .. })), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_cleans_up_by_itself_and_stays_small() {
    // Its own: whoever has a transaction open there keeps what was deleted.
    let server = PostgresServer::start();
    let stores = Stores::new(&server, Driver::Deadpool);
    stores.migrate().await;
    let builder = PostgresStore::builder().table(&stores.table);
    let builder = builder.cleanup_interval(Duration::from_millis(50));
    let store = builder.pool(stores.deadpool()).unwrap();
    let size = format!("SELECT pg_total_relation_size('{}')", stores.table);
    let mut sizes = Vec::new();
    for _ in 0..6 {
        for _ in 0..500 {
            let claim = fresh();
            let moment = Duration::from_millis(1);
            let claim = Claim::new(*claim.name(), *claim.owner(), claim.lease(), moment);
            assert_acquired(acquire(&store, &claim).await, 1);
            complete(&store, &claim, b"a record of some length")
                .await
                .unwrap();
        }
        // What autovacuum does, without the wait for it.
        server.run(&format!("VACUUM {}", stores.table)).await;
        sizes.push(server.number(&size).await);
    }
    // What is free at the end of the file is given back at one time and kept at another.
    let (first, last) = (sizes[0].max(sizes[1]), sizes[5]);
    assert!(last <= first * 2, "it grows and grows: {sizes:?}");
    let left = format!("SELECT count(*) FROM {}", stores.table);
    let left = server.number(&left).await;
    assert!(left < 1500, "{left} of 3000 are left");
}

#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_task_behind() {
    let server = PostgresServer::shared();
    let stores = Stores::new(server, Driver::Deadpool);
    stores.migrate().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    // What else a store had ends with its connections.
    let until_left = async |expected: usize| {
        let start = Instant::now();
        while tasks() > expected {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", tasks());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until_left(0).await;
    let builder = PostgresStore::builder().table(&stores.table);
    let builder = builder.cleanup_interval(Duration::from_secs(3600));
    let builder = builder.listen_with(stores.url.parse().unwrap(), tokio_postgres::NoTls);
    let store = builder.pool(stores.deadpool()).unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    let waited = timeout(Duration::from_millis(500), store.changed(claim.name())).await;
    assert!(waited.is_err(), "woken for nothing");
    assert!(tasks() > 0);
    drop(store);
    until_left(0).await;
}

#[tokio::test]
async fn a_record_that_waited_for_anothers_claim_to_come_in_is_superseded() {
    let server = PostgresServer::start();
    let (stores, store) = on(&server).await;
    let claim = fresh();
    // Of an owner that comes in between.
    let other = server.connect().await;
    let insert = format!(
        "BEGIN; INSERT INTO {} VALUES ('\\x{:x}', 'P', '\\x00', 1, 1, '', now() + '1 min', now() + '2 min')",
        stores.table,
        claim.name()
    );
    other.batch_execute(&insert).await.unwrap();
    let completing = tokio::spawn(async move { complete(&store, &claim, b"r").await });
    until_one_waits(&server).await;
    other.batch_execute("COMMIT").await.unwrap();
    let completed = completing.await.unwrap().unwrap();
    assert_eq!(completed, Completion::Superseded);
}
