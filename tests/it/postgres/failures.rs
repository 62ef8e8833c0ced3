//! What becomes of operations when the server fails, refuses or is not there.

use std::time::Duration;

use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinSet, time::timeout};
use tower_idempotency::{
    PostgresStore, Store,
    store::{Claimed, Completion, StoreErrorKind},
};

use crate::support::{
    claims::{acquire, assert_acquired, assert_failed, complete, fresh, rival},
    postgres::{Driver, Pooler, PostgresServer, Proxy, Stores},
};

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
