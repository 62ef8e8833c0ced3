//! What is left when the machine goes down: all that was synced, and of the rest anything.

use std::{fs, time::Duration};

use rusqlite::Connection;
use tower_idempotency::{
    SqliteStore,
    store::{Claim, Claimed, Completion, SqliteTransaction, Synchronous},
};

use super::{database::Database, wal::commit_ends};
use crate::support::{
    claims::{acquire, assert_acquired, assert_record, complete, fresh, leased, rival},
    sockets::Dice,
};

const RECORDS: usize = 40;
const CUTS: usize = 60;
const SECTOR: usize = 512;

/// A claim and its record, and how long the log was when each was acknowledged.
struct Acknowledged {
    claim: Claim,
    claimed: usize,
    recorded: usize,
}

fn log_end(database: &Database) -> usize {
    let log = fs::read(database.log()).unwrap();
    *commit_ends(&log).last().unwrap()
}

/// Drops or tears what was written after `kept`, as a disk may that was not told to sync it.
fn cut(log: &[u8], kept: usize, dice: &mut Dice) -> Vec<u8> {
    let end = dice.roll(kept as u64..log.len() as u64 + 1);
    let mut left = log[..usize::try_from(end).unwrap()].to_vec();
    let tears = dice.roll(0..3);
    for sector in left[kept..].chunks_mut(SECTOR) {
        // Nothing of a sector, or something else, may have reached the disk.
        if tears > 0 && dice.percent(40) {
            sector.fill(if tears == 1 { 0 } else { 0xa5 });
        }
    }
    left
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_power_cut_and_nothing_is_half_there() {
    let database = Database::new();
    let store = database.store().await;
    let mut acknowledged = Vec::new();
    for _ in 0..RECORDS {
        // None lapses, however long all of this takes.
        let claim = leased(&fresh(), Duration::from_secs(3600));
        assert_acquired(acquire(&store, &claim).await, 1);
        let claimed = log_end(&database);
        complete(&store, &claim, b"record").await.unwrap();
        let recorded = log_end(&database);
        assert!(claimed < recorded);
        acknowledged.push(Acknowledged {
            claim,
            claimed,
            recorded,
        });
    }
    let log = fs::read(database.log()).unwrap();
    let mut dice = Dice::of("POWER_CUT_SEED");
    for number in 0..CUTS {
        let at = usize::try_from(dice.roll(0..RECORDS as u64)).unwrap();
        let kept = if dice.percent(50) {
            acknowledged[at].claimed
        } else {
            acknowledged[at].recorded
        };
        let copy = database.directory().join(format!("cut-{number}.db"));
        fs::copy(database.path(), &copy).unwrap();
        let log = cut(&log, kept, &mut dice);
        fs::write(format!("{}-wal", copy.display()), log).unwrap();
        let checked: String = Connection::open(&copy)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(checked, "ok");
        let store = SqliteStore::builder().synchronous(Synchronous::Normal);
        let store = store.open(&copy).await.unwrap();
        for known in &acknowledged {
            let found = acquire(&store, &rival(&known.claim)).await;
            if known.recorded <= kept {
                assert_record(found, b"record");
                continue;
            }
            match found.unwrap() {
                Claimed::Completed(record) => assert_eq!(record, b"record".as_slice()),
                Claimed::Held { .. } => {}
                // The one whose claim was acknowledged is never free for another.
                Claimed::Acquired(_) => assert!(known.claimed > kept),
                Claimed::Unknown { .. } => panic!("a claim that nobody ended"),
            }
        }
    }
}

#[tokio::test]
async fn an_effect_and_its_record_go_together_in_a_power_cut() {
    let database = Database::new();
    let own = database.connection();
    own.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE effects (name BLOB)")
        .unwrap();
    let store = SqliteStore::open_with(own).await.unwrap().transactional();
    let mut acknowledged = Vec::new();
    for _ in 0..RECORDS {
        let claim = fresh();
        let Claimed::Acquired(acquired) = acquire(&store, &claim).await.unwrap() else {
            panic!("nothing is there");
        };
        let name = *claim.name().as_bytes();
        let transaction: &SqliteTransaction = acquired.extensions.get().unwrap();
        let write = move |own: &Connection| own.execute("INSERT INTO effects VALUES (?1)", [name]);
        transaction.run(write).await.unwrap();
        let kept = complete(&store, &claim, b"record").await.unwrap();
        assert_eq!(kept, Completion::Kept);
        acknowledged.push((claim, log_end(&database)));
    }
    let log = fs::read(database.log()).unwrap();
    let mut dice = Dice::of("POWER_CUT_SEED");
    for number in 0..CUTS {
        let at = usize::try_from(dice.roll(0..RECORDS as u64)).unwrap();
        let kept = acknowledged[at].1;
        let copy = database.directory().join(format!("cut-{number}.db"));
        fs::copy(database.path(), &copy).unwrap();
        let log = cut(&log, kept, &mut dice);
        fs::write(format!("{}-wal", copy.display()), log).unwrap();
        let own = Connection::open(&copy).unwrap();
        for (claim, end) in &acknowledged {
            let count = |sql: &str| -> i64 {
                let name = claim.name().as_bytes();
                own.query_row(sql, [name], |row| row.get(0)).unwrap()
            };
            let effects = count("SELECT count(*) FROM effects WHERE name = ?1");
            let records = count("SELECT count(*) FROM tower_idempotency WHERE name = ?1");
            assert_eq!(effects, records);
            assert!(effects == 1 || *end > kept);
        }
    }
}

#[tokio::test]
async fn every_commit_waits_for_the_disk_unless_told_otherwise() {
    // See <https://www.sqlite.org/pragma.html#pragma_synchronous>.
    for (builder, expected) in [
        (SqliteStore::builder(), 2),
        (SqliteStore::builder().synchronous(Synchronous::Normal), 1),
    ] {
        let database = Database::new();
        let store = builder.open(database.path()).await.unwrap();
        let claimed = acquire(&store.transactional(), &fresh()).await.unwrap();
        let Claimed::Acquired(acquired) = claimed else {
            panic!("nothing is there");
        };
        let transaction: &SqliteTransaction = acquired.extensions.get().unwrap();
        let ask =
            |own: &Connection| own.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0));
        assert_eq!(transaction.run(ask).await.unwrap(), expected);
    }
}
