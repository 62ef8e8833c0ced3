//! Servers that are killed and stopped, on one file.

use async_trait::async_trait;

use super::database::Database;
use crate::support::{
    campaign::{Campaign, Trouble, Troubles},
    sockets::Dice,
};

/// Locks the file for a while, as another process may that writes for long.
struct Locks<'a>(&'a Database);

#[async_trait]
impl Troubles for Locks<'_> {
    async fn strike(&mut self, dice: &mut Dice) -> Trouble {
        let (other, locked) = (self.0.connection(), dice.micros(0..400_000));
        other
            .busy_timeout(std::time::Duration::from_secs(20))
            .unwrap();
        tokio::task::spawn_blocking(move || {
            // It stands in no queue, so that where stores write all the time it may never get there.
            if other.execute_batch("BEGIN IMMEDIATE").is_err() {
                return Trouble::None;
            }
            std::thread::sleep(locked);
            other.execute_batch("COMMIT").unwrap();
            Trouble::Away
        })
        .await
        .unwrap()
    }
}

async fn run(database: &Database, campaign: Campaign) {
    let campaign = Campaign {
        // One that is stopped while it has the lock stops all others.
        stops: false,
        ..campaign
    };
    campaign.run(&mut Locks(database)).await;
    let checked: String = database
        .connection()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(checked, "ok");
}

async fn nothing_runs_twice(campaign: impl FnOnce(String) -> Campaign) {
    let database = Database::new();
    let url = format!("sqlite:{}", database.path().display());
    run(&database, campaign(url)).await;
}

/// Runs a campaign whose handlers leave a row in their transaction, and counts the rows.
async fn is_carried_out_exactly_once(campaign: impl FnOnce(String) -> Campaign) {
    let database = Database::new();
    let campaign = campaign(format!("sqlite+tx:{}", database.path().display()));
    let campaign = Campaign {
        claims_die: true,
        // Handlers run one after another, those too that take longer than a lease.
        keys: campaign.keys / 8,
        clients: 8,
        ..campaign
    };
    let wanted = i64::try_from(campaign.keys).unwrap();
    run(&database, campaign).await;
    let count = |sql: &str| -> i64 {
        let connection = database.connection();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let answered = count("SELECT count(*) FROM tower_idempotency");
    let effects = count("SELECT count(*) FROM conformance_effects");
    let keys = count("SELECT count(DISTINCT key) FROM conformance_effects");
    println!("{answered} keys answered, {effects} effects on {keys} keys");
    assert!(answered >= wanted);
    assert_eq!((effects, keys), (answered, answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_while_servers_on_one_file_are_killed() {
    nothing_runs_twice(Campaign::short).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_in_the_long_campaign_on_one_file() {
    nothing_runs_twice(Campaign::long).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_one_effect_exactly_while_servers_on_one_file_are_killed() {
    is_carried_out_exactly_once(Campaign::short).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_one_effect_exactly_in_the_long_campaign_on_one_file() {
    is_carried_out_exactly_once(Campaign::long).await;
}
