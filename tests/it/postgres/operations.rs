use std::time::{Duration, Instant};

use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinSet, time::timeout};
use tower_idempotency::{
    Admin, PostgresStore, Store,
    admin::List,
    store::{Claim, Claimed, Completion, PostgresConnectErrorKind, StoreErrorKind},
};

use crate::support::{
    claims::{acquire, assert_acquired, assert_failed, assert_record, complete, fresh, rival},
    postgres::{Driver, Pooler, PostgresServer, Proxy, Stores},
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

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_unavailable_and_asked_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for driver in Driver::ALL {
        let mut stores = Stores::new(PostgresServer::shared(), driver);
        stores.url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let store = stores.open().await;
        let asking = tokio::spawn(async move { acquire(&store, &fresh()).await });
        let mut asked = 0;
        while !asking.is_finished() {
            let client = timeout(Duration::from_millis(100), listener.accept()).await;
            if let Ok(Ok((mut client, _))) = client {
                // Not before it has said something: that is not lost, but has no answer.
                assert!(client.read(&mut [0; 1000]).await.unwrap() > 0);
                asked += 1;
            }
        }
        assert_failed(asking.await.unwrap(), StoreErrorKind::Unavailable);
        assert_eq!(asked, 1, "{driver:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_was_given_up_takes_no_connection_with_it() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let mut stores = Stores::new(server, driver);
        stores.migrate().await;
        stores.connections = 1;
        let patient = stores.open().await;
        let claim = fresh();
        assert_acquired(acquire(&patient, &claim).await, 1);
        drop(patient);
        let other = server.connect().await;
        let lock = format!("BEGIN; SELECT FROM {} FOR UPDATE", stores.table);
        other.batch_execute(&lock).await.unwrap();
        stores.deadline = Duration::from_secs(2);
        let store = stores.open().await;
        for _ in 0..3 {
            let given_up = complete(&store, &claim, b"r").await;
            assert_failed(given_up, StoreErrorKind::Unavailable);
            assert_acquired(acquire(&store, &fresh()).await, 1);
        }
    }
}

/// Has every new claim fail with a code of the server's, or the first alone, and counts them.
async fn fail_with(server: &PostgresServer, table: &str, code: &str, always: bool) {
    let script = format!(
        "CREATE SEQUENCE IF NOT EXISTS {table}_tries;
         ALTER SEQUENCE {table}_tries RESTART;
         CREATE OR REPLACE FUNCTION {table}_fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('{table}_tries') = 1 OR {always} THEN
                 RAISE EXCEPTION 'as told' USING ERRCODE = '{code}';
             END IF;
             RETURN new;
         END $$;
         DROP TRIGGER IF EXISTS fail ON {table};
         CREATE TRIGGER fail BEFORE INSERT ON {table}
         FOR EACH ROW EXECUTE FUNCTION {table}_fail();"
    );
    server.run(&script).await;
}

/// The codes are those of "Appendix A" of PostgreSQL's manual.
#[tokio::test]
async fn what_the_server_says_decides_what_is_told_and_whether_it_is_asked_again() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let stores = Stores::new(server, driver);
        stores.migrate().await;
        let (store, table) = (stores.open().await, &stores.table);
        for (code, kind) in [
            ("53100", StoreErrorKind::Full),
            ("53200", StoreErrorKind::Full),
            ("XX001", StoreErrorKind::Corrupt),
            ("XX002", StoreErrorKind::Corrupt),
            ("42501", StoreErrorKind::Corrupt),
            ("3F000", StoreErrorKind::Corrupt),
            ("25006", StoreErrorKind::Unavailable),
            ("57014", StoreErrorKind::Unavailable),
        ] {
            fail_with(server, table, code, true).await;
            assert_failed(acquire(&store, &fresh()).await, kind);
            let tries = format!("SELECT last_value FROM {table}_tries");
            assert_eq!(server.number(&tries).await, 1, "{driver:?} {code}");
        }
        for code in [
            "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "08000",
        ] {
            fail_with(server, table, code, false).await;
            assert_acquired(acquire(&store, &fresh()).await, 1);
            let tries = format!("SELECT last_value FROM {table}_tries");
            assert_eq!(server.number(&tries).await, 2, "{driver:?} {code}");
        }
    }
}

/// Opens a store with one connection, which the server knows by its name.
async fn pooled(stores: &mut Stores) -> PostgresStore {
    stores.migrate().await;
    stores.connections = 1;
    stores.url += "?application_name=pooled";
    stores.open().await
}

/// Which connection a store like that has.
const POOLED: &str =
    "SELECT sum(pid)::bigint FROM pg_stat_activity WHERE application_name = 'pooled'";

#[tokio::test]
async fn a_transaction_that_is_rolled_back_costs_no_connection() {
    for driver in Driver::ALL {
        let server = PostgresServer::start();
        let mut stores = Stores::transactional(&server, driver);
        let store = pooled(&mut stores).await;
        let mut before = None;
        for _ in 0..5 {
            let claim = fresh();
            let acquired = acquire(&store, &claim).await;
            store.release(&claim).await.unwrap();
            assert_acquired(acquired, 1);
            let now = server.number(POOLED).await;
            assert_eq!(*before.get_or_insert(now), now, "{driver:?}");
        }
    }
}

#[tokio::test]
async fn a_conflict_costs_no_connection() {
    for driver in Driver::ALL {
        let server = PostgresServer::start();
        let mut stores = Stores::new(&server, driver);
        let store = pooled(&mut stores).await;
        let mut before = None;
        for _ in 0..5 {
            fail_with(&server, &stores.table, "40001", false).await;
            assert_acquired(acquire(&store, &fresh()).await, 1);
            let now = server.number(POOLED).await;
            assert_eq!(*before.get_or_insert(now), now, "{driver:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_one_without_tables_is_not() {
    let mut server = PostgresServer::start();
    for driver in Driver::ALL {
        for transactional in [false, true] {
            let mut stores = Stores::new(&server, driver);
            stores.transactional = transactional;
            let store = stores.open().await;
            assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Corrupt);
        }
    }
    let stores = Stores::new(&server, Driver::Deadpool);
    stores.migrate().await;
    let store = stores.open().await;
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    server.kill();
    assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Unavailable);
    server.restart();
    assert_eq!(
        complete(&store, &claim, b"r").await.unwrap(),
        Completion::Kept
    );
}

/// Every connection of the pool has died, and none is noticed before it is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_fails_no_operation_that_follows() {
    let mut server = PostgresServer::start();
    for driver in Driver::ALL {
        for transactional in [false, true] {
            let mut stores = Stores::new(&server, driver);
            stores.transactional = transactional;
            stores.migrate().await;
            let store = stores.open().await;
            let at_once = async || {
                let mut claims = JoinSet::new();
                for _ in 0..8 {
                    let store = store.clone();
                    claims.spawn(async move { acquire(&store, &fresh()).await });
                }
                let acquired = claims.join_all().await;
                for acquired in acquired {
                    assert_acquired(acquired, 1);
                }
            };
            at_once().await;
            server.kill();
            server.restart();
            at_once().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serialization_failures_are_tried_again() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        let mut stores = Stores::new(server, driver);
        stores.migrate().await;
        stores.url += "?options=-c%20default_transaction_isolation%3Dserializable";
        let store = stores.open().await;
        for _ in 0..10 {
            let claim = fresh();
            let mut claims = JoinSet::new();
            for _ in 0..16 {
                let (store, claim) = (store.clone(), rival(&claim));
                claims.spawn(async move {
                    let claimed = acquire(&store, &claim).await.unwrap();
                    if let Claimed::Acquired(_) = claimed {
                        complete(&store, &claim, b"r").await.unwrap();
                        return 1;
                    }
                    0
                });
            }
            assert_eq!(claims.join_all().await.into_iter().sum::<u32>(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_whose_server_is_down_is_not_stormed() {
    let pooler = Pooler::start().await;
    for driver in Driver::ALL {
        for transactional in [false, true] {
            let mut stores = Stores::new(PostgresServer::shared(), driver);
            stores.transactional = transactional;
            stores.url = pooler.url();
            stores.deadline = Duration::from_millis(500);
            let seen = acquire(&stores.open().await, &fresh()).await;
            assert_failed(seen, StoreErrorKind::Unavailable);
            let let_in = pooler.let_in();
            assert!(
                (2..20).contains(&let_in),
                "{driver:?}, transactional {transactional}: {let_in} connections"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_write_is_unavailable_and_asked_once() {
    let server = PostgresServer::shared();
    let proxy = Proxy::before(server.port).await;
    for driver in Driver::ALL {
        let mut stores = Stores::new(server, driver);
        stores.migrate().await;
        stores.url = format!(
            "postgres://postgres@127.0.0.1:{}/postgres?options=-c%20default_transaction_read_only%3Don",
            proxy.port
        );
        let store = stores.open().await;
        // More messages than one connection and a claim need, and fewer than a few.
        proxy.cut_at(2 * 150);
        assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Unavailable);
        assert!(!proxy.has_cut(), "{driver:?} asked again and again");
    }
}
