//! What the system is asked for before a caller is told that something is on the disk.
//!
//! The calls are those of this test binary, started again under `strace`.

use std::{
    collections::HashSet,
    env,
    fs::{self, File},
    io::Write,
    process::Command,
};

use rusqlite::Connection;
use tower_idempotency::{
    SqliteStore, Store,
    store::{Claimed, Completion, SqliteTransaction, Synchronous},
};

use super::database::Database;
use crate::support::claims::{acquire, assert_acquired, complete, fresh};

const CHILD: &str = "sqlite::syncs::writes_down_what_was_acknowledged";
const FILE: &str = "SQLITE_SYNCS_FILE";
const SYNCHRONOUS: &str = "SQLITE_SYNCS_SYNCHRONOUS";
const ROUNDS: usize = 10;

/// A claim, a record, a release, and a claim with its effect and record, in each round.
const ACKNOWLEDGED: usize = 4 * ROUNDS;

#[ignore = "run by the tests below"]
#[tokio::test]
async fn writes_down_what_was_acknowledged() {
    let Ok(file) = env::var(FILE) else {
        // Nobody asked: the long form runs all that is ignored.
        return;
    };
    let synchronous = match env::var(SYNCHRONOUS).unwrap().as_str() {
        "Full" => Synchronous::Full,
        _ => Synchronous::Normal,
    };
    let mut told = File::create(format!("{file}.told")).unwrap();
    let mut tell = || told.write_all(b"acknowledged\n").unwrap();
    let builder = SqliteStore::builder().synchronous(synchronous);
    let store = builder.open(file).await.unwrap();
    tell();
    let transactional = store.clone().transactional();
    for _ in 0..ROUNDS {
        let claim = fresh();
        assert_acquired(acquire(&store, &claim).await, 1);
        tell();
        complete(&store, &claim, b"record").await.unwrap();
        tell();
        let claim = fresh();
        assert_acquired(acquire(&store, &claim).await, 1);
        store.release(&claim).await.unwrap();
        tell();
        let claim = fresh();
        let Claimed::Acquired(acquired) = acquire(&transactional, &claim).await.unwrap() else {
            panic!("nothing is there");
        };
        let transaction: &SqliteTransaction = acquired.extensions.get().unwrap();
        let write = |own: &Connection| own.execute_batch("CREATE TABLE IF NOT EXISTS a (b)");
        transaction.run(write).await.unwrap();
        let completed = complete(&transactional, &claim, b"record").await;
        assert_eq!(completed.unwrap(), Completion::Kept);
        tell();
    }
}

/// Returns, for each time that something was acknowledged, how often the log had been synced since
/// the last time.
fn syncs(synchronous: Synchronous) -> Vec<usize> {
    let database = Database::new();
    let calls = database.directory().join("calls");
    let traced = Command::new("strace")
        .args(["-f", "-y", "-qq", "-e", "trace=fsync,fdatasync,write", "-o"])
        .arg(&calls)
        .arg(env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored"])
        .env(FILE, database.path())
        .env(SYNCHRONOUS, format!("{synchronous:?}"))
        .output()
        .expect("strace is installed");
    assert!(traced.status.success(), "{traced:?}");
    let (mut all, mut since, mut waiting) = (Vec::new(), 0, HashSet::new());
    for line in fs::read_to_string(calls).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if call.starts_with("write(") && call.contains("store.db.told>") {
            all.push(since);
            since = 0;
        } else if call.contains("sync(") && call.contains("store.db-wal>") {
            if call.ends_with("<unfinished ...>") {
                waiting.insert(thread.to_owned());
            } else if call.ends_with("= 0") {
                since += 1;
            }
        } else if call.contains("sync resumed>") && waiting.remove(thread) && call.ends_with("= 0")
        {
            since += 1;
        }
    }
    // Opening the store syncs too.
    all.split_off(1)
}

#[test]
fn nothing_is_acknowledged_before_the_log_is_synced() {
    let syncs = syncs(Synchronous::Full);
    assert_eq!(syncs.len(), ACKNOWLEDGED);
    assert!(syncs.iter().all(|syncs| *syncs > 0), "{syncs:?}");
}

#[test]
fn without_that_promise_no_commit_waits_for_the_disk() {
    let syncs = syncs(Synchronous::Normal);
    assert_eq!(syncs.len(), ACKNOWLEDGED);
    assert_eq!(syncs.iter().sum::<usize>(), 0, "{syncs:?}");
}
