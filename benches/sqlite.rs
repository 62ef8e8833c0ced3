//! What the store in a SQLite file costs.
//!
//! ```sh
//! cargo bench --features sqlite --bench sqlite [-- DIRECTORY]
//! ```
//!
//! The directory is on the disk that is measured; the default is the system's for temporary files.

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rusqlite::{Connection, params};
use tokio::{sync::oneshot, task::JoinSet};
use tower_idempotency::{
    Effects, Fingerprint, IdempotencyLayer, MemoryStore, RecordName, SqliteStore, Store,
    UnknownOutcome,
    store::{Claim, Claimed, OwnerToken},
};
use uuid::Uuid;

use self::common::{Variant, figure::Figure};

/// The length of the record of a JSON response of 300 bytes.
const RECORD: usize = 423;
const CALLERS: usize = 64;
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);
const MANY: u64 = 1_000_000;

fn main() {
    let directory = env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let directory = directory.map_or_else(env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("tower-idempotency-bench-{}", Uuid::new_v4()));
    fs::create_dir_all(&directory).expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        first_requests(&directory).await;
        replays(&directory).await;
        records(&directory).await;
    });
    drop(runtime);
    fs::remove_dir_all(&directory).expect("a directory of our own");
}

/// First requests, beside transactions of one row that a thread commits together in the same way.
async fn first_requests(directory: &Path) {
    let store = SqliteStore::open(directory.join("first.db")).await;
    let store = store.expect("a store");
    let rows = Rows::start(directory.join("rows.db"));
    println!("{CALLERS} callers, each commit synced, a second (median of {ROUNDS})");
    let (mut firsts, mut inserts, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let own = rows.clone();
        let insert = a_second(move || {
            let rows = own.clone();
            async move { rows.insert().await }
        });
        let insert = insert.await;
        let own = store.clone();
        let first = a_second(move || {
            let store = own.clone();
            async move { recorded(&store).await }
        });
        let first = first.await;
        inserts.push(insert);
        firsts.push(first);
        ratios.push(first / insert);
    }
    println!("  one row           {:>8.0}", median(&mut inserts));
    println!("  first request     {:>8.0}", median(&mut firsts));
    let ratio = Figure::at_least(median(&mut ratios), 0.5);
    println!("  ratio             {ratio:>8.2}");
}

/// Replays through the layer, beside those of the memory store.
async fn replays(directory: &Path) {
    let store = SqliteStore::open(directory.join("replays.db")).await;
    let memory = common::replaying("memory", IdempotencyLayer::new(MemoryStore::new()));
    let sqlite = common::replaying("SQLite", IdempotencyLayer::new(store.expect("a store")));
    let (memory, sqlite) = (Arc::new(memory), Arc::new(sqlite));
    println!("replays through the layer, microseconds each (median of {ROUNDS})");
    for callers in [1, CALLERS] {
        let (mut memories, mut sqlites, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let of_memory = replay_micros(&memory, callers).await;
            let of_sqlite = replay_micros(&sqlite, callers).await;
            memories.push(of_memory);
            sqlites.push(of_sqlite);
            ratios.push(of_sqlite / of_memory);
        }
        println!("  {callers} callers");
        println!("    {:<15} {:>8.1}", memory.name, median(&mut memories));
        println!("    {:<15} {:>8.1}", sqlite.name, median(&mut sqlites));
        let ratio = Figure::at_most(median(&mut ratios), 3.0);
        println!("    ratio           {ratio:>8.2}");
    }
}

async fn replay_micros(variant: &Arc<Variant>, callers: usize) -> f64 {
    // One caller is timed for some tenths of a second, too.
    let each = if callers == 1 { 50_000_u32 } else { 2000 };
    variant.send(variant.request()).await;
    let start = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let variant = Arc::clone(variant);
        all.spawn(async move {
            for _ in 0..each {
                variant.send(variant.request()).await;
            }
        });
    }
    all.join_all().await;
    let calls = f64::from(each) * f64::from(u32::try_from(callers).expect("few"));
    start.elapsed().as_secs_f64() * 1e6 / calls
}

/// Claims among few records and among many.
async fn records(directory: &Path) {
    println!("claims, p99 in milliseconds (median of {ROUNDS})");
    let mut stores = Vec::new();
    for count in [1000, MANY] {
        let path = directory.join(format!("records-{count}.db"));
        drop(SqliteStore::open(&path).await.expect("a store"));
        fill(&path, count);
        stores.push(SqliteStore::open(&path).await.expect("a store"));
    }
    for callers in [1, CALLERS] {
        let (mut fews, mut manys, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let few = quantile(claim_times(&stores[0], callers).await, 0.99);
            let many = quantile(claim_times(&stores[1], callers).await, 0.99);
            fews.push(few);
            manys.push(many);
            ratios.push(many / few);
        }
        println!("  {callers} callers");
        println!("    {:>7} records {:>8.2}", 1000, median(&mut fews));
        println!("    {MANY:>7} records {:>8.2}", median(&mut manys));
        let ratio = Figure::at_most(median(&mut ratios), 2.0);
        println!("    ratio           {ratio:>8.2}");
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "some thousand"
)]
fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

async fn claim_times(store: &SqliteStore, callers: usize) -> Vec<f64> {
    let mut all = JoinSet::new();
    let start = Instant::now();
    for _ in 0..callers {
        let store = store.clone();
        all.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < TIME {
                let (of, sent) = (fresh(), Instant::now());
                claim(&store, &of).await;
                times.push(sent.elapsed().as_secs_f64() * 1e3);
                // Few stay few.
                store.release(&of).await.expect("an answer");
            }
            times
        });
    }
    all.join_all().await.concat()
}

/// Puts records of as many names into a file.
fn fill(path: &Path, count: u64) {
    let mut connection = Connection::open(path).expect("a file");
    let transaction = connection.transaction().expect("a transaction");
    {
        let mut insert = transaction
            .prepare(
                "INSERT INTO tower_idempotency (name, state, owner, fence, attempt, fingerprint,
                   deadline, lease, expires, record)
                 VALUES (?1, 2, ?2, 1, 1, x'', 0, 10000,
                   (unixepoch() + 86400) * 1000 + ?3, ?4)",
            )
            .expect("the store's table");
        let record = vec![7_u8; RECORD];
        for number in 0..count {
            let claim = fresh();
            let number = i64::try_from(number).expect("few");
            insert
                .execute(params![
                    claim.name().as_bytes(),
                    claim.owner().as_bytes(),
                    number,
                    record
                ])
                .expect("a row");
        }
    }
    transaction.commit().expect("a commit");
}

/// How often callers do something in a second.
async fn a_second<F>(call: impl Fn() -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send,
{
    let mut callers = JoinSet::new();
    let start = Instant::now();
    for _ in 0..CALLERS {
        let call = call.clone();
        callers.spawn(async move {
            let mut calls = 0_u32;
            while start.elapsed() < TIME {
                call().await;
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = callers.join_all().await.into_iter().sum();
    f64::from(calls) / start.elapsed().as_secs_f64()
}

async fn claim(store: &SqliteStore, claim: &Claim) {
    let fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);
    let claimed = store.claim(claim, &fingerprint, UnknownOutcome::Retry);
    let claimed = claimed.await.expect("an answer");
    assert!(matches!(claimed, Claimed::Acquired(_)));
}

/// Claims and completes, as a first request does.
async fn recorded(store: &SqliteStore) {
    let of = fresh();
    claim(store, &of).await;
    let record = Bytes::from(vec![7; RECORD]);
    let completed = store.complete(&of, record, Effects::Keep);
    completed.await.expect("an answer");
}

fn fresh() -> Claim {
    static RUN: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut name = [0; RecordName::LEN];
    name[..8].copy_from_slice(&next.to_be_bytes());
    name[16..].copy_from_slice(RUN.as_bytes());
    let minute = Duration::from_secs(60);
    Claim::new(
        RecordName::from_bytes(name),
        OwnerToken::random(),
        minute / 6,
        minute,
    )
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A thread that inserts rows, those together that came together.
#[derive(Clone)]
struct Rows(mpsc::Sender<Row>);

struct Row {
    name: [u8; 32],
    reply: oneshot::Sender<()>,
}

impl Rows {
    fn start(path: PathBuf) -> Self {
        let (sender, rows) = mpsc::channel::<Row>();
        thread::spawn(move || {
            let connection = Connection::open(path).expect("a file");
            connection
                .execute_batch(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                     CREATE TABLE rows (id INTEGER PRIMARY KEY, name BLOB UNIQUE, record BLOB)",
                )
                .expect("a table");
            let record = vec![7_u8; RECORD];
            while let Ok(first) = rows.recv() {
                let all: Vec<_> = [first].into_iter().chain(rows.try_iter()).collect();
                connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
                for row in &all {
                    connection
                        .prepare_cached("INSERT INTO rows (name, record) VALUES (?1, ?2)")
                        .and_then(|mut insert| insert.execute(params![row.name, record]))
                        .expect("a row");
                }
                connection.execute_batch("COMMIT").expect("a commit");
                for row in all {
                    let _ = row.reply.send(());
                }
            }
        });
        Self(sender)
    }

    async fn insert(&self) {
        let (reply, inserted) = oneshot::channel();
        let name = *fresh().name().as_bytes();
        self.0.send(Row { name, reply }).expect("it runs");
        inserted.await.expect("an answer");
    }
}
