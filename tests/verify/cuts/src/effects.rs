use std::{error::Error, sync::Arc};

use axum::http::Extensions;
use deadpool_postgres::Client;
use tower_idempotency::{
    PgTransaction, PostgresStore, RedisStore, SqliteStore, Store, store::SqliteTransaction,
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS cuts_effects (key text NOT NULL)";

/// Where the rows are that handlers leave in a store's transaction.
pub(crate) enum Effects {
    /// There is no transaction.
    None,
    Sqlite(String),
    Postgres(String),
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

impl Effects {
    /// Opens a store by its URL, and a connection beside it.
    pub(crate) async fn open(url: &str) -> Result<(Arc<dyn Store>, Self)> {
        let (scheme, rest) = url.split_once(':').ok_or("no URL")?;
        Ok(match scheme {
            "redis" => (
                Arc::new(RedisStore::builder().connect(url).await?),
                Self::None,
            ),
            "sqlite" => (Arc::new(SqliteStore::open(rest).await?), Self::None),
            "sqlite+tx" => {
                rusqlite::Connection::open(rest)?.execute_batch(TABLE)?;
                let store = SqliteStore::open(rest).await?.transactional();
                (Arc::new(store), Self::Sqlite(rest.to_owned()))
            }
            "postgres" | "postgres+tx" => {
                let url = format!("postgres:{rest}");
                connect(&url).await?.batch_execute(TABLE).await?;
                let (builder, effects) = if scheme == "postgres" {
                    (PostgresStore::builder(), Self::None)
                } else {
                    (
                        PostgresStore::builder().transactional(),
                        Self::Postgres(url.clone()),
                    )
                };
                let store = builder.connect(&url).await?;
                store.migrate().await?;
                (Arc::new(store), effects)
            }
            _ => return Err("no such store".into()),
        })
    }

    /// Leaves a row in the transaction of a run.
    pub(crate) async fn leave(extensions: &Extensions, key: &str) -> Result<()> {
        const INSERT: &str = "INSERT INTO cuts_effects (key) VALUES ($1)";
        if let Some(transaction) = extensions.get::<SqliteTransaction>() {
            let key = key.to_owned();
            let insert = move |connection: &rusqlite::Connection| connection.execute(INSERT, [key]);
            transaction.run(insert).await?;
        }
        if let Ok(transaction) = PgTransaction::<Client>::of(extensions) {
            transaction.execute(INSERT, &[&key]).await?;
        }
        Ok(())
    }

    /// Counts the rows of a key; none where there are no transactions.
    pub(crate) async fn count(&self, key: &str) -> Result<Option<i64>> {
        const COUNT: &str = "SELECT count(*) FROM cuts_effects WHERE key = $1";
        Ok(match self {
            Self::None => None,
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path)?;
                Some(connection.query_row(COUNT, [key], |row| row.get(0))?)
            }
            Self::Postgres(url) => {
                let row = connect(url).await?.query_one(COUNT, &[&key]).await?;
                Some(row.get(0))
            }
        })
    }
}

async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
