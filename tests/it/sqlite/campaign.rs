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
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            std::thread::sleep(locked);
            other.execute_batch("COMMIT").unwrap();
        })
        .await
        .unwrap();
        Trouble::Away
    }
}

async fn run(setup: impl FnOnce(String) -> Campaign) {
    let database = Database::new();
    let url = format!("sqlite:{}", database.path().display());
    let campaign = Campaign {
        stops: false,
        ..setup(url)
    };
    campaign.run(&mut Locks(&database)).await;
    let checked: String = database
        .connection()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(checked, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_while_servers_on_one_file_are_killed() {
    run(Campaign::short).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_in_the_long_campaign_on_one_file() {
    run(Campaign::long).await;
}
