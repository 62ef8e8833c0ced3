//! Servers that are killed, stopped and cut off, on one PostgreSQL.

use async_trait::async_trait;

use crate::support::{
    campaign::{Campaign, Trouble, Troubles},
    postgres::PostgresServer,
    sockets::Dice,
};

/// Crashes the server, and starts it again.
struct Crashes(PostgresServer);

#[async_trait]
impl Troubles for Crashes {
    async fn strike(&mut self, dice: &mut Dice) -> Trouble {
        self.0.kill();
        tokio::time::sleep(dice.micros(0..400_000)).await;
        self.0.restart();
        Trouble::Away
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_while_servers_and_postgres_are_killed() {
    let server = PostgresServer::start();
    let campaign = Campaign::short(server.url());
    campaign.run(&mut Crashes(server)).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_in_the_long_campaign_on_postgres() {
    let server = PostgresServer::start();
    let campaign = Campaign::long(server.url());
    campaign.run(&mut Crashes(server)).await;
}

/// Runs a campaign whose handlers leave a row in their transaction, and counts the rows.
async fn is_carried_out_exactly_once(campaign: impl Fn(String) -> Campaign, scheme: &str) {
    let server = PostgresServer::start();
    let campaign = Campaign {
        claims_die: true,
        ..campaign(server.url().replace("postgres:", scheme))
    };
    let mut troubles = Crashes(server);
    campaign.run(&mut troubles).await;
    let server = troubles.0;
    let answered = server.number("SELECT count(*) FROM idempotency").await;
    let effects = server
        .number("SELECT count(*) FROM conformance_effects")
        .await;
    let keys = server
        .number("SELECT count(DISTINCT key) FROM conformance_effects")
        .await;
    println!("{scheme} {answered} keys answered, {effects} effects on {keys} keys");
    assert!(usize::try_from(answered).unwrap() >= campaign.keys);
    assert_eq!((effects, keys), (answered, answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_one_effect_exactly_while_servers_and_postgres_are_killed() {
    is_carried_out_exactly_once(Campaign::short, "postgres+tx:").await;
}

#[cfg(feature = "sqlx")]
#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_one_effect_exactly_on_sqlx_while_servers_and_postgres_are_killed() {
    is_carried_out_exactly_once(Campaign::short, "postgres+sqlx+tx:").await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_one_effect_exactly_in_the_long_campaign() {
    is_carried_out_exactly_once(Campaign::long, "postgres+tx:").await;
}
