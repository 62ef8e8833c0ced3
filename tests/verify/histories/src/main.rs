//! Plays rounds on every store for some seconds.

#[path = "../../../it/support/leash.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod leash;
#[path = "../../../it/support/postgres/server.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod postgres;
#[path = "../../../it/support/redis.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod redis;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use histories::{Round, check};
use lexopt::prelude::*;
use tower_idempotency::{
    MemoryStore, PostgresStore, RedisStore, SqliteStore, Store, store::UnsafeSettings,
};

use self::{postgres::PostgresServer, redis::RedisServer};

#[tokio::main(worker_threads = 4)]
async fn main() -> Result<(), lexopt::Error> {
    let (mut seconds, mut seed) = (60, fastrand::u64(..));
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => seconds = args.value()?.parse()?,
            Long("seed") => seed = args.value()?.parse()?,
            _ => return Err(arg.unexpected()),
        }
    }
    let server = RedisServer::start();
    let mut redis: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..4 {
        let store = RedisStore::builder()
            .unsafe_settings(UnsafeSettings::Ignore)
            .connect(&server.url())
            .await
            .expect("the server answers");
        redis.push(Arc::new(store));
    }
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let directory = redis::new_directory();
    let file = directory.join("histories.db");
    let mut sqlite: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        let store = SqliteStore::open(&file).await.expect("a file");
        sqlite.push(Arc::new(store));
    }
    let database = PostgresServer::start();
    let mut postgres: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::builder().connect(&database.url()).await;
        let store = store.expect("the server answers");
        store.migrate().await.expect("a table");
        postgres.push(Arc::new(store));
    }
    let stores = [
        ("memory", vec![memory]),
        ("Redis", redis),
        ("SQLite", sqlite),
        ("PostgreSQL", postgres),
    ];
    let rounds = [
        Round::PLAIN,
        Round {
            drops: true,
            ..Round::PLAIN
        },
        Round {
            lapses: true,
            ..Round::PLAIN
        },
    ];
    let share = Duration::from_secs(seconds) / u32::try_from(stores.len()).expect("a few");
    let mut told = Vec::new();
    for (name, clients) in stores {
        let end = Instant::now() + share;
        let mut operations = 0;
        while Instant::now() < end {
            for round in rounds {
                seed = seed.wrapping_add(1);
                match check(&clients, round, seed).await {
                    Ok(more) => operations += more,
                    Err(history) => {
                        println!("histories: nothing explains what {name} answered in {round:?}");
                        for event in history.events {
                            println!("  {event:?}");
                        }
                        println!(
                            "  again, where the machine does its part: --seed {}",
                            seed - 1
                        );
                        std::process::exit(1);
                    }
                }
            }
        }
        told.push(format!("{operations} operations on {name}"));
    }
    let _ = std::fs::remove_dir_all(directory);
    println!("histories: {}, all explained", told.join(", "));
    Ok(())
}
