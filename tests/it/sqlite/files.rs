//! Files that are shared, new, old, damaged or full.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::task::JoinSet;
use tower_idempotency::{
    SqliteStore, Store,
    store::{
        Claim, Claimed, OpenError, OpenErrorKind, Renewal, SqliteTransaction, StoreErrorKind,
        Synchronous,
    },
};

use super::{database::Database, wal::commits};
use crate::support::claims::{
    acquire, assert_acquired, assert_failed, assert_record, complete, fresh, rival,
};

#[track_caller]
fn assert_not_opened(opened: Result<SqliteStore, OpenError>, kind: OpenErrorKind) {
    match opened {
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().starts_with("the "), "{error}");
        }
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_start_at_once_make_one_store() {
    for _ in 0..5 {
        let database = Database::new();
        let mut starting = JoinSet::new();
        for _ in 0..12 {
            starting.spawn(SqliteStore::open(database.path()));
        }
        let stores: Vec<_> = starting.join_all().await;
        let claim = fresh();
        for (number, store) in stores.into_iter().enumerate() {
            let store = store.unwrap();
            match number {
                0 => {
                    assert_acquired(acquire(&store, &claim).await, 1);
                    complete(&store, &claim, b"record").await.unwrap();
                }
                _ => assert_record(acquire(&store, &rival(&claim)).await, b"record"),
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_is_there_is_opened_while_somebody_writes() {
    let database = Database::new();
    let claim = fresh();
    {
        let store = database.store().await;
        assert_acquired(acquire(&store, &claim).await, 1);
        complete(&store, &claim, b"record").await.unwrap();
    }
    let writing = database.connection();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let opened = [
        SqliteStore::open(database.path()).await.unwrap(),
        SqliteStore::open_with(database.connection()).await.unwrap(),
    ];
    for store in opened {
        assert_record(acquire(&store, &rival(&claim)).await, b"record");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    writing.execute_batch("COMMIT").unwrap();
}

#[tokio::test]
async fn opening_a_store_that_is_there_commits_nothing() {
    let database = Database::new();
    let store = database.store().await;
    let before = commits(&database);
    let again = database.store().await;
    assert_eq!(commits(&database), before);
    drop((store, again));
}

#[tokio::test]
async fn a_database_of_ones_own_keeps_all_that_is_in_it() {
    let database = Database::new();
    let own = database.connection();
    own.execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (17); PRAGMA user_version = 42")
        .unwrap();
    own.pragma_update(None, "wal_autocheckpoint", 7).unwrap();
    let store = SqliteStore::open_with(own).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    let claimed = acquire(&store.clone().transactional(), &fresh()).await;
    let Ok(Claimed::Acquired(acquired)) = claimed else {
        panic!("{claimed:?}");
    };
    let transaction: &SqliteTransaction = acquired.extensions.get().unwrap();
    let pages = |own: &Connection| {
        own.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(transaction.run(pages).await.unwrap(), 7);
    drop(acquired);
    let own = database.connection();
    let read = |sql: &str| own.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(read("SELECT b FROM a"), 17);
    assert_eq!(read("PRAGMA user_version"), 42);
    let tables: Vec<String> = own
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .and_then(|mut tables| tables.query_map([], |row| row.get(0))?.collect())
        .unwrap();
    assert_eq!(
        tables,
        ["a", "tower_idempotency", "tower_idempotency_schema"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_locked_for_a_moment_is_waited_for() {
    for log in ["DELETE", "WAL"] {
        let database = Database::new();
        let own = database.connection();
        own.query_row(&format!("PRAGMA journal_mode = {log}"), [], |_| Ok(()))
            .unwrap();
        own.execute_batch("CREATE TABLE items (name TEXT); BEGIN EXCLUSIVE")
            .unwrap();
        let opening = tokio::spawn(SqliteStore::open(database.path()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!opening.is_finished(), "{log}");
        own.execute_batch("COMMIT").unwrap();
        opening.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_store_shows_its_file() {
    let database = Database::new();
    let shown = format!("{:?}", database.store().await);
    assert!(shown.starts_with("SqliteStore {"), "{shown}");
    assert!(shown.contains(&format!("{:?}", database.path())), "{shown}");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let database = Database::new();
    let claim = fresh();
    {
        let store = database.store().await;
        assert_acquired(acquire(&store, &claim).await, 1);
    }
    let set = |version: i64| {
        let own = database.connection();
        let sql = "UPDATE tower_idempotency_schema SET version = ?1";
        assert_eq!(own.execute(sql, [version]).unwrap(), 1);
    };
    for version in [2, 1000, -1] {
        set(version);
        assert_not_opened(
            SqliteStore::open(database.path()).await,
            OpenErrorKind::Newer,
        );
    }
    set(1);
    assert_acquired(acquire(&database.store().await, &claim).await, 1);
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_one() {
    let database = Database::new();
    fs::write(
        database.path(),
        "this is no database, however long it may be ".repeat(100),
    )
    .unwrap();
    let start = Instant::now();
    let opened = SqliteStore::open(database.path()).await;
    let error = opened.as_ref().unwrap_err();
    assert!(std::error::Error::source(error).is_some(), "{error}");
    assert_not_opened(opened, OpenErrorKind::Damaged);
    assert!(start.elapsed() < Duration::from_secs(5));
    let database = Database::new();
    let claim = fresh();
    let store = database.store().await;
    assert_acquired(acquire(&store, &claim).await, 1);
    complete(&store, &claim, b"record").await.unwrap();
    database
        .connection()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(store);
    // All pages but the first.
    let mut bytes = fs::read(database.path()).unwrap();
    bytes[4096..].fill(0xa5);
    let damaged = database.directory().join("damaged.db");
    fs::write(&damaged, bytes).unwrap();
    match SqliteStore::open(&damaged).await {
        // Where that does not show at once, it does when the key is asked for.
        Ok(store) => assert_failed(
            acquire(&store, &rival(&claim)).await,
            StoreErrorKind::Corrupt,
        ),
        Err(error) => assert_eq!(error.kind(), OpenErrorKind::Damaged, "{error}"),
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_to_is_refused_at_once() {
    let database = Database::new();
    drop(database.store().await);
    let read_only = format!("file:{}?mode=ro", database.path().display());
    assert_not_opened(SqliteStore::open(&read_only).await, OpenErrorKind::ReadOnly);
    let nowhere = database.directory().join("nowhere/store.db");
    assert_not_opened(SqliteStore::open(nowhere).await, OpenErrorKind::Unreachable);
    for path in ["", ":memory:", "file::memory:"] {
        assert_not_opened(SqliteStore::open(path).await, OpenErrorKind::Unsupported);
    }
    assert_not_opened(
        SqliteStore::open_with(Connection::open_in_memory().unwrap()).await,
        OpenErrorKind::Unsupported,
    );
}

#[tokio::test]
async fn a_disk_that_is_full_is_said_to_be_one_at_the_opening() {
    let database = Database::new();
    let own = database.connection();
    own.execute_batch("CREATE TABLE items (name TEXT)").unwrap();
    own.query_row("PRAGMA max_page_count = 2", [], |_| Ok(()))
        .unwrap();
    assert_not_opened(SqliteStore::open_with(own).await, OpenErrorKind::Full);
    database.store().await;
}

#[tokio::test]
async fn a_disk_that_is_full_refuses_and_loses_nothing() {
    let database = Database::new();
    // The page limit is a connection's own: SQLite then says what it says when the disk is full.
    let own = database.connection();
    own.query_row("PRAGMA max_page_count = 40", [], |_| Ok(()))
        .unwrap();
    let store = SqliteStore::builder().deadline(Duration::from_secs(20));
    let store = store.open_with(own).await.unwrap();
    let done = fresh();
    assert_acquired(acquire(&store, &done).await, 1);
    complete(&store, &done, b"record").await.unwrap();
    let (mut claims, mut refused) = (Vec::new(), 0);
    // The first is refused where its own page is full, and the next may fit into another.
    while refused < 50 {
        let claim = fresh();
        match acquire(&store, &claim).await {
            Ok(_) => {
                claims.push(claim);
                refused = 0;
            }
            full => {
                assert_failed(full, StoreErrorKind::Full);
                refused += 1;
            }
        }
        assert!(claims.len() < 10_000);
    }
    assert_record(acquire(&store, &rival(&done)).await, b"record");
    // Many at once fail and succeed each by itself.
    let mut many = JoinSet::new();
    for claim in claims.iter().copied().take(100) {
        let (store, other) = (store.clone(), store.clone());
        many.spawn(async move { other.renew(&claim).await.unwrap() });
        many.spawn(async move {
            assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Full);
            Renewal::Renewed
        });
    }
    many.join_all().await;
    // Once there is room again, it goes on.
    for claim in &claims {
        store.release(claim).await.unwrap();
    }
    assert_acquired(acquire(&store, &fresh()).await, 1);
}

/// Says whether a copy has every record that was acknowledged before it was begun.
async fn assert_whole(copy: &Path, before: &[Claim]) {
    let checked: String = Connection::open(copy)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(checked, "ok");
    let store = SqliteStore::open(copy).await.unwrap();
    for claim in before {
        assert_record(acquire(&store, &rival(claim)).await, b"record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_the_store_is_in_use_has_all_that_was_acknowledged() {
    let database = Database::new();
    let store = SqliteStore::builder().synchronous(Synchronous::Normal);
    let store = store.open(database.path()).await.unwrap();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let writing = store.clone();
    let busy = tokio::spawn(async move {
        while !*stopped.borrow_and_update() {
            let claim = fresh();
            assert_acquired(acquire(&writing, &claim).await, 1);
            complete(&writing, &claim, b"record").await.unwrap();
        }
    });
    let mut before = Vec::new();
    for round in 0..6 {
        for _ in 0..20 {
            let claim = fresh();
            assert_acquired(acquire(&store, &claim).await, 1);
            complete(&store, &claim, b"record").await.unwrap();
            before.push(claim);
        }
        let copy = database.directory().join(format!("copy-{round}.db"));
        let (own, to) = (database.connection(), copy.clone());
        tokio::task::spawn_blocking(move || {
            if round % 2 == 0 {
                let sql = "VACUUM INTO ?1";
                own.execute(sql, [to.to_str().unwrap()]).unwrap();
            } else {
                own.backup("main", &to, None).unwrap();
            }
        })
        .await
        .unwrap();
        assert_whole(&copy, &before).await;
    }
    stop.send(true).unwrap();
    busy.await.unwrap();
}
