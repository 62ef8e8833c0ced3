//! The SQLite store: `sqlite:PATH`, and with `+tx` in the scheme its transactional mode.

use std::{sync::Arc, time::Duration};

use axum::http::Extensions;
use rusqlite::Connection;
use tower_idempotency::{
    SqliteStore, SqliteTransaction, Store,
    store::{OpenError, TransactionError},
};

/// A row for every run whose transaction was committed.
const EFFECTS: &str = "CREATE TABLE IF NOT EXISTS conformance_effects (key TEXT NOT NULL)";
const EFFECT: &str = "INSERT INTO conformance_effects (key) VALUES (?1)";

/// Opens the store, if the URL is for one.
pub(crate) async fn open(url: &str) -> Option<Result<Arc<dyn Store>, String>> {
    let (scheme, path) = url.split_once(':')?;
    let opened = match scheme {
        "sqlite" => SqliteStore::open(path).await,
        "sqlite+tx" => open_transactional(path).await,
        _ => return None,
    };
    Some(match opened {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(error.to_string()),
    })
}

async fn open_transactional(path: &str) -> Result<SqliteStore, OpenError> {
    let store = SqliteStore::builder().transactional().open(path).await?;
    // The store has made a log of its own, so that this waits for one writer at most.
    let own = Connection::open(path)?;
    own.busy_timeout(Duration::from_secs(10))?;
    own.execute_batch(EFFECTS)?;
    Ok(store)
}

/// Leaves a row in the transaction of a run that has one.
pub(crate) async fn leave_effect(
    extensions: &Extensions,
    key: &str,
) -> Result<(), TransactionError> {
    let Some(transaction) = extensions.get::<SqliteTransaction>() else {
        return Ok(());
    };
    let key = key.to_owned();
    let left = transaction.run(move |own| own.execute(EFFECT, [&key]));
    left.await.map(drop)
}
