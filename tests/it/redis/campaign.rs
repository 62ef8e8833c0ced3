//! Servers that are killed, stopped and cut off, on one Redis of every kind.

use async_trait::async_trait;

use super::sentinel::Watched;
use crate::support::{
    campaign::{Campaign, Trouble, Troubles},
    redis::RedisServer,
    redis_cluster::RedisCluster,
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

/// Moves slots, has replicas take over in good order, and may kill a master.
struct Reshuffles {
    cluster: RedisCluster,
    kills: bool,
}

#[async_trait]
impl Troubles for Reshuffles {
    async fn strike(&mut self, dice: &mut Dice) -> Trouble {
        let mut any = |places: Vec<usize>| {
            let place = dice.roll(0..places.len() as u64);
            places[usize::try_from(place).expect("a small number")]
        };
        let masters = self.cluster.places(true);
        let master = any(masters.clone());
        let replica = any(self.cluster.places(false));
        let other = any(masters.into_iter().filter(|it| *it != master).collect());
        match dice.roll(0..if self.kills { 3 } else { 2 }) {
            0 => {
                self.cluster.reshard(100, master, other).await;
                Trouble::Moved
            }
            1 => {
                self.cluster.fail_over(replica).await;
                Trouble::Away
            }
            _ => {
                self.cluster.lose(master).await;
                Trouble::Lost
            }
        }
    }
}

/// Has a replica take over whether it has everything or not, or kills its master, so many times.
struct Failovers {
    watched: Watched,
    left: usize,
}

#[async_trait]
impl Troubles for Failovers {
    async fn strike(&mut self, dice: &mut Dice) -> Trouble {
        if self.left == 0 {
            return Trouble::None;
        }
        self.left -= 1;
        if dice.percent(50) {
            self.watched.kill_master().await;
        } else {
            self.watched.fail_over().await;
        }
        Trouble::Lost
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_while_servers_and_redis_are_killed() {
    let server = RedisServer::durable();
    let campaign = Campaign::short(server.url());
    campaign.run(&mut Restarts(server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_while_a_cluster_is_resharded_and_fails_over_in_good_order() {
    let cluster = RedisCluster::start().await;
    let campaign = Campaign::short(cluster.url());
    let kills = false;
    campaign.run(&mut Reshuffles { cluster, kills }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_failover_lost_runs_twice_under_sentinel() {
    let watched = Watched::start().await;
    let campaign = Campaign {
        // An old master is told late that it is one no more: the clients have all that time.
        clients: 8,
        ..Campaign::short(watched.url())
    };
    campaign.run(&mut Failovers { watched, left: 1 }).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_twice_in_the_long_campaign_on_redis() {
    let server = RedisServer::durable();
    let campaign = Campaign::long(server.url());
    campaign.run(&mut Restarts(server)).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_failover_lost_runs_twice_in_the_long_campaign_on_a_cluster() {
    let cluster = RedisCluster::start().await;
    let campaign = Campaign {
        keys: 10_000,
        ..Campaign::long(cluster.url())
    };
    let kills = true;
    campaign.run(&mut Reshuffles { cluster, kills }).await;
}
