//! How often SQLite is asked for something, and what becomes of a store that it refuses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization, TransactionOperation},
};
use tower_idempotency::{
    SqliteStore,
    store::{OpenErrorKind, StoreErrorKind},
};

use super::database::Database;
use crate::support::claims::{acquire, assert_acquired, assert_failed, fresh, until_ok};

/// Counts the statements of one kind that a connection prepares.
#[derive(Debug, Clone, Default)]
struct Watch {
    seen: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

impl Watch {
    fn over(connection: &Connection, is_one: fn(AuthAction<'_>) -> bool) -> Self {
        let watch = Self::default();
        let Self { seen, refuses } = watch.clone();
        let hook = move |context: AuthContext<'_>| {
            if !is_one(context.action) {
                return Authorization::Allow;
            }
            seen.fetch_add(1, SeqCst);
            if refuses.load(SeqCst) {
                Authorization::Deny
            } else {
                Authorization::Allow
            }
        };
        connection.authorizer(Some(hook)).unwrap();
        watch
    }

    /// Has SQLite refuse such statements, or allow them again.
    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, SeqCst);
    }

    fn seen(&self) -> usize {
        self.seen.load(SeqCst)
    }
}

fn is_begin(action: AuthAction<'_>) -> bool {
    let operation = TransactionOperation::Begin;
    action == AuthAction::Transaction { operation }
}

fn is_pragma(action: AuthAction<'_>, name: &str) -> bool {
    matches!(action, AuthAction::Pragma { pragma_name, .. } if pragma_name == name)
}

#[tokio::test]
async fn a_transaction_that_sqlite_refuses_is_asked_for_once_and_its_reason_told() {
    let database = Database::new();
    let own = database.connection();
    let watch = Watch::over(&own, is_begin);
    let store = SqliteStore::builder().deadline(Duration::from_secs(20));
    let store = store.open_with(own).await.unwrap();
    watch.refuse(true);
    let before = watch.seen();
    let error = acquire(&store, &fresh()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(reason, "not authorized");
    assert_eq!(watch.seen() - before, 1);
    watch.refuse(false);
    assert_acquired(acquire(&store, &fresh()).await, 1);
}

#[tokio::test]
async fn whoever_waits_for_the_file_asks_for_it_some_times_a_second() {
    let database = Database::new();
    let own = database.connection();
    let watch = Watch::over(&own, is_begin);
    let store = SqliteStore::builder().deadline(Duration::from_secs(1));
    let store = store.open_with(own).await.unwrap();
    let other = database.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = watch.seen();
    assert_failed(acquire(&store, &fresh()).await, StoreErrorKind::Unavailable);
    let asked = watch.seen() - before;
    assert!((1..200).contains(&asked), "{asked}");
    other.execute_batch("COMMIT").unwrap();
    until_ok(|| async { acquire(&store, &fresh()).await }).await;
}

#[tokio::test]
async fn what_sqlite_refuses_at_the_opening_is_asked_for_once_and_its_reason_told() {
    let checks: [fn(AuthAction<'_>) -> bool; 2] =
        [is_begin, |action| is_pragma(action, "journal_mode")];
    for is_one in checks {
        let database = Database::new();
        let own = database.connection();
        let watch = Watch::over(&own, is_one);
        watch.refuse(true);
        let error = SqliteStore::open_with(own).await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Unreachable);
        let told = error.to_string();
        assert_eq!(told, "the SQLite file cannot be opened: not authorized");
        assert_eq!(watch.seen(), 1);
    }
}

#[tokio::test]
async fn a_store_at_rest_looks_once_a_minute_for_what_has_expired() {
    let database = Database::new();
    let own = database.connection();
    let watch = Watch::over(&own, |action| is_pragma(action, "freelist_count"));
    let store = SqliteStore::open_with(own).await.unwrap();
    assert_acquired(acquire(&store, &fresh()).await, 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let looks = watch.seen();
    assert!(looks <= 1, "{looks}");
}
