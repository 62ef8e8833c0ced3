use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::sleep;
use tower_idempotency::{MemoryStore, PostgresStore, RedisStore, SqliteStore, Store};

use crate::{
    postgres::PostgresServer,
    redis::{self, RedisServer},
};

pub(crate) const NAMES: [&str; 4] = ["memory", "redis", "sqlite", "postgres"];

/// A store's server, or its file, and what can befall it.
pub(crate) enum Backend {
    Memory(MemoryStore),
    Redis(RedisServer),
    Sqlite(PathBuf),
    Postgres(PostgresServer),
}

impl Backend {
    pub(crate) fn start(name: &str) -> Result<Self, String> {
        Ok(match name {
            "memory" => Self::Memory(MemoryStore::new()),
            "redis" => Self::Redis(RedisServer::durable()),
            "sqlite" => Self::Sqlite(redis::new_directory()),
            "postgres" => Self::Postgres(PostgresServer::start()),
            _ => return Err(format!("there is no store {name}")),
        })
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, String> {
        Ok(match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Redis(server) => {
                let store = RedisStore::builder().connect(&server.url()).await;
                Arc::new(store.map_err(|error| error.to_string())?)
            }
            Self::Sqlite(directory) => {
                let store = SqliteStore::open(directory.join("soak.db")).await;
                Arc::new(store.map_err(|error| error.to_string())?)
            }
            Self::Postgres(server) => {
                let builder = PostgresStore::builder().cleanup_interval(Duration::from_secs(1));
                let store = builder.connect(&server.url()).await;
                let store = store.map_err(|error| error.to_string())?;
                store.migrate().await.map_err(|error| error.to_string())?;
                Arc::new(store)
            }
        })
    }

    /// Counts the keys that are there, by other means than the store's.
    pub(crate) async fn keys(&self) -> u64 {
        match self {
            Self::Memory(store) => store.len() as u64,
            Self::Redis(server) => {
                let size = server.command(&["DBSIZE"]);
                let digits = size.trim_start_matches(|c: char| !c.is_ascii_digit());
                digits.trim_end().parse().expect("a number")
            }
            Self::Sqlite(directory) => {
                let database = rusqlite::Connection::open(directory.join("soak.db"));
                let count = "SELECT count(*) FROM idempotency";
                let count = database
                    .expect("a file")
                    .query_row(count, [], |row| row.get(0));
                let count: i64 = count.expect("a number");
                count.unsigned_abs()
            }
            Self::Postgres(server) => server
                .number("SELECT count(*) FROM idempotency")
                .await
                .unsigned_abs(),
        }
    }

    /// Does to it what happens to stores.
    pub(crate) async fn strike(&mut self, rng: &mut fastrand::Rng) {
        let outage = Duration::from_millis(rng.u64(0..400));
        match self {
            Self::Memory(_) => {}
            Self::Redis(server) => {
                server.kill();
                sleep(outage).await;
                server.restart();
            }
            Self::Sqlite(directory) => {
                // Another program has the file for a while.
                let database = rusqlite::Connection::open(directory.join("soak.db"));
                let database = database.expect("a file");
                if database.execute_batch("BEGIN IMMEDIATE").is_ok() {
                    std::thread::sleep(outage);
                }
            }
            Self::Postgres(server) if rng.bool() => {
                server.kill();
                sleep(outage).await;
                server.restart();
            }
            Self::Postgres(server) => {
                let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                                 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
                server.number(terminate).await;
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Self::Sqlite(directory) = self {
            let _ = fs::remove_dir_all(directory);
        }
    }
}
