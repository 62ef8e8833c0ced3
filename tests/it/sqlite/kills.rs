//! Processes that are killed while they write to one file, with an account book in it.
//!
//! The processes are this test binary again: each carries out keys in the transactional mode, on
//! random keys that others may be at, until it is killed.

use std::{
    env,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::post};
use http::Request;
use rusqlite::Connection;
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_idempotency::{
    IdempotencyContext, IdempotencyLayer, SqliteStore,
    store::{SqliteTransaction, TransactionError},
};

use super::database::Database;
use crate::support::sockets::Dice;

const CHILD: &str = "sqlite::kills::carries_out_keys_until_it_is_killed";
const FILE: &str = "SQLITE_KILLS_FILE";
const KEYS: &str = "SQLITE_KILLS_KEYS";
const PROCESSES: usize = 3;
const CLIENTS: usize = 16;

/// Moves a cent, writes that down, and is answered with how it was written down.
async fn transfer(
    context: IdempotencyContext,
    transaction: SqliteTransaction,
) -> Result<String, String> {
    let key = context.key().as_str().to_owned();
    let work = move |book: &Connection| {
        book.execute("UPDATE accounts SET cents = cents - 1 WHERE id = 1", [])?;
        book.execute("UPDATE accounts SET cents = cents + 1 WHERE id = 2", [])?;
        book.execute("INSERT INTO effects (key) VALUES (?1)", [&key])?;
        Ok(book.last_insert_rowid().to_string())
    };
    let done = transaction.run(work).await;
    done.map_err(|error: TransactionError| error.to_string())
}

fn app(store: SqliteStore) -> Router {
    let layer = IdempotencyLayer::new(store.transactional());
    Router::new().route("/", post(transfer)).layer(layer)
}

/// Sends a key until it is answered.
async fn resolve(app: &Router, key: usize) -> (bool, String) {
    let start = Instant::now();
    loop {
        let request = Request::post("/").header("idempotency-key", format!("key-{key}"));
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let (status, replayed) = (
            response.status().as_u16(),
            response.headers().contains_key("idempotency-replayed"),
        );
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let body = String::from_utf8(body.unwrap().into()).unwrap();
        match status {
            200 => return (replayed, body),
            409 | 503 => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => panic!("{status} {body}"),
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{key}: {body}");
    }
}

#[ignore = "run by the tests below"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carries_out_keys_until_it_is_killed() {
    let (Ok(file), Ok(keys)) = (env::var(FILE), env::var(KEYS)) else {
        // Nobody asked: the long form runs all that is ignored.
        return;
    };
    let keys: u64 = keys.parse().unwrap();
    let app = app(SqliteStore::open(file).await.unwrap());
    let dice = Dice::of("SQLITE_KILLS_CHILD_SEED");
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (app, mut dice) = (app.clone(), dice.for_part(client as u64));
        clients.spawn(async move {
            loop {
                let key = usize::try_from(dice.roll(0..keys)).unwrap();
                resolve(&app, key).await;
            }
        });
    }
    clients.join_all().await;
}

fn start(database: &Database, keys: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored"])
        .env(FILE, database.path())
        .env(KEYS, keys.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn count(database: &Database, sql: &str) -> i64 {
    let connection = database.connection();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn the_effects_add_up(keys: usize, kills: usize) {
    let database = Database::new();
    let book = database.connection();
    book.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
         INSERT INTO accounts VALUES (1, 1000000), (2, 0);
         CREATE TABLE effects (id INTEGER PRIMARY KEY, key TEXT NOT NULL)",
    )
    .unwrap();
    drop(book);
    let mut dice = Dice::of("SQLITE_KILLS_SEED");
    let mut children: Vec<_> = (0..PROCESSES).map(|_| start(&database, keys)).collect();
    let (begun, wanted) = (Instant::now(), i64::try_from(keys).unwrap() * 9 / 10);
    let mut killed = 0;
    while killed < kills || count(&database, "SELECT count(*) FROM effects") < wanted {
        assert!(begun.elapsed() < Duration::from_secs(1200), "too slow");
        thread::sleep(dice.micros(50_000..700_000));
        let victim = usize::try_from(dice.roll(0..PROCESSES as u64)).unwrap();
        // None ends by itself.
        assert!(children[victim].try_wait().unwrap().is_none());
        children[victim].kill().unwrap();
        children[victim].wait().unwrap();
        children[victim] = start(&database, keys);
        killed += 1;
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let before = count(&database, "SELECT count(*) FROM effects");
    // What is left, and each of the others once more.
    let app = app(database.store().await);
    let mut replayed = 0;
    for key in 0..keys {
        let (again, id) = resolve(&app, key).await;
        replayed += i64::from(again);
        let sql = format!("SELECT key = 'key-{key}' FROM effects WHERE id = {id}");
        assert_eq!(count(&database, &sql), 1, "the answer is the effect's own");
    }
    let keys = i64::try_from(keys).unwrap();
    println!(
        "{keys} keys, {PROCESSES} processes, {killed} kills in {:.1?}: {replayed} were answered again",
        begun.elapsed()
    );
    assert_eq!(
        replayed, before,
        "an effect is there exactly where its record is"
    );
    assert_eq!(count(&database, "SELECT count(*) FROM effects"), keys);
    assert_eq!(
        count(&database, "SELECT count(DISTINCT key) FROM effects"),
        keys
    );
    assert_eq!(
        count(&database, "SELECT cents FROM accounts WHERE id = 2"),
        keys
    );
    assert_eq!(
        count(&database, "SELECT sum(cents) FROM accounts"),
        1_000_000
    );
}

#[tokio::test]
async fn the_sum_of_effects_is_the_number_of_keys_whatever_is_killed() {
    the_effects_add_up(1500, 10).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test]
async fn the_sum_of_effects_is_the_number_of_keys_in_the_long_run() {
    the_effects_add_up(20_000, 60).await;
}
