//! Servers that are killed, stopped and cut off, on one Redis.

use async_trait::async_trait;

use crate::support::{
    campaign::{Campaign, Trouble, Troubles},
    redis::RedisServer,
    sockets::Dice,
};

/// Kills a server that keeps all that it acknowledged, and starts it again.
struct Restarts(RedisServer);

#[async_trait]
impl Troubles for Restarts {
    async fn strike(&mut self, dice: &mut Dice) -> Trouble {
        self.0.kill();
        tokio::time::sleep(dice.micros(0..400_000)).await;
        self.0.restart();
        Trouble::Away
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_while_servers_and_redis_are_killed() {
    let server = RedisServer::durable();
    let campaign = Campaign::short(server.url());
    campaign.run(&mut Restarts(server)).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_in_the_long_campaign_on_redis() {
    let server = RedisServer::durable();
    let campaign = Campaign::long(server.url());
    campaign.run(&mut Restarts(server)).await;
}
