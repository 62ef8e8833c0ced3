//! The PostgreSQL store: `postgres://…`, and with `+tx` in the scheme its transactional mode, with
//! `+sqlx` the other driver.

use std::sync::Arc;

use axum::http::Extensions;
use tower_idempotency::{PgTransaction, PostgresStore, Store, store::PostgresStoreBuilder};

/// A row for every run whose transaction was committed.
const EFFECTS: &str = "CREATE TABLE IF NOT EXISTS conformance_effects (key text NOT NULL)";
const EFFECT: &str = "INSERT INTO conformance_effects (key) VALUES ($1)";

/// Opens the store, if the URL is for one, and makes its tables.
pub(crate) async fn open(url: &str) -> Option<Result<Arc<dyn Store>, String>> {
    let (scheme, rest) = url.split_once("://")?;
    let mut parts = scheme.split('+');
    if !matches!(parts.next(), Some("postgres" | "postgresql")) {
        return None;
    }
    let url = format!("postgres://{rest}");
    let (mut on_sqlx, mut transactional) = (false, false);
    for part in parts {
        match part {
            "tx" => transactional = true,
            "sqlx" if cfg!(feature = "sqlx") => on_sqlx = true,
            _ => return None,
        }
    }
    let opened = connect(&url, on_sqlx, transactional).await;
    Some(opened.map_err(|error| error.to_string()))
}

async fn connect(
    url: &str,
    on_sqlx: bool,
    transactional: bool,
) -> Result<Arc<dyn Store>, Box<dyn std::error::Error>> {
    let mut builder = PostgresStore::builder();
    if transactional {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        // Two servers at once would both find no table.
        client
            .batch_execute(&format!("SELECT pg_advisory_xact_lock(1); {EFFECTS}"))
            .await?;
        builder = builder.transactional();
    }
    let store = if on_sqlx {
        open_on_sqlx(builder, url).await?
    } else {
        builder.connect(url).await?
    };
    store.migrate().await?;
    Ok(Arc::new(store))
}

#[cfg(feature = "sqlx")]
async fn open_on_sqlx(
    builder: PostgresStoreBuilder,
    url: &str,
) -> Result<PostgresStore, Box<dyn std::error::Error>> {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(16);
    Ok(builder.sqlx_pool(pool.connect(url).await?)?)
}

#[cfg(not(feature = "sqlx"))]
async fn open_on_sqlx(
    _: PostgresStoreBuilder,
    _: &str,
) -> Result<PostgresStore, Box<dyn std::error::Error>> {
    unreachable!("the scheme is not known without the feature")
}

/// Leaves a row in the transaction of a run that has one.
pub(crate) async fn leave_effect(
    extensions: &Extensions,
    key: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if let Ok(transaction) = PgTransaction::<deadpool_postgres::Client>::of(extensions) {
        transaction.execute(EFFECT, &[&key]).await?;
    }
    #[cfg(feature = "sqlx")]
    if let Ok(mut transaction) = PgTransaction::<sqlx::PgConnection>::of(extensions) {
        sqlx::query(EFFECT)
            .bind(key)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}
