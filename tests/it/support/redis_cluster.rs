use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::redis::RedisServer;

/// A cluster of three masters, each with a replica.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        const ARGS: [&str; 10] = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1500",
            "--cluster-replica-validity-factor",
            "0",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ];
        let nodes: Vec<_> = (0..6).map(|_| RedisServer::with(&ARGS)).collect();
        let cluster = Self { nodes };
        let addresses = cluster.nodes.iter().map(address);
        let mut create = vec!["create".to_owned()];
        create.extend(addresses);
        create.extend(["--cluster-replicas".to_owned(), "1".to_owned()]);
        cluster.manage(&create).await;
        cluster.until_whole().await;
        cluster
    }

    /// The URL that the conformance server takes: some of its nodes.
    pub(crate) fn url(&self) -> String {
        let [first, second, ..] = &self.nodes[..] else {
            unreachable!("there are six")
        };
        format!("redis+cluster://{},{}", address(first), address(second))
    }

    /// Returns the places of the masters, or of the replicas.
    pub(crate) fn places(&self, masters: bool) -> Vec<usize> {
        let places = 0..self.nodes.len();
        let is_one = |place: &usize| self.nodes[*place].is_master() == masters;
        places.filter(is_one).collect()
    }

    /// Moves slots, with their keys, from one master to another.
    pub(crate) async fn reshard(&self, slots: u64, from: usize, to: usize) {
        let id = |place: usize| self.nodes[place].lines(&["CLUSTER", "MYID"]).remove(0);
        let reshard = [
            "reshard".to_owned(),
            address(&self.nodes[from]),
            "--cluster-from".to_owned(),
            id(from),
            "--cluster-to".to_owned(),
            id(to),
            "--cluster-slots".to_owned(),
            slots.to_string(),
        ];
        self.manage(&reshard).await;
        self.until_whole().await;
    }

    /// Has a replica take over from its master, which waits for it.
    pub(crate) async fn fail_over(&self, replica: usize) {
        self.nodes[replica].command(&["CLUSTER", "FAILOVER"]);
        self.until(|| self.nodes[replica].is_master(), "a replica takes over")
            .await;
        self.until_whole().await;
    }

    /// Kills a master, and starts it again once its replica has taken over.
    pub(crate) async fn lose(&mut self, master: usize) {
        self.nodes[master].kill();
        let others = |cluster: &Self| {
            let mut others = cluster.nodes.iter().enumerate();
            others.all(|(place, node)| place == master || is_ok(node))
                && cluster.masters_without(master) == 3
        };
        self.until(|| others(self), "a replica takes over").await;
        self.nodes[master].restart();
        self.until_whole().await;
    }

    fn masters_without(&self, dead: usize) -> usize {
        let nodes = self.nodes.iter().enumerate();
        let alive = nodes.filter(|(place, _)| *place != dead);
        alive.filter(|(_, node)| node.is_master()).count()
    }

    /// Returns once every node knows all slots, and every replica follows its master.
    pub(crate) async fn until_whole(&self) {
        let whole = || self.nodes.iter().all(|node| is_ok(node) && follows(node));
        self.until(whole, "the cluster is whole").await;
    }

    async fn until(&self, come_about: impl Fn() -> bool, what: &str) {
        let start = Instant::now();
        while !come_about() {
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}", self.nodes);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a command of `redis-cli --cluster`.
    async fn manage(&self, words: &[String]) {
        let mut command = Command::new("redis-cli");
        command.arg("--cluster").args(words).arg("--cluster-yes");
        let run = tokio::task::spawn_blocking(move || command.output());
        let output = run
            .await
            .unwrap()
            .expect("redis-cli comes with redis-server");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{words:?}: {printed}");
    }
}

fn address(node: &RedisServer) -> String {
    format!("127.0.0.1:{}", node.port)
}

fn is_ok(node: &RedisServer) -> bool {
    let info = node.lines(&["CLUSTER", "INFO"]);
    let has = |line| info.iter().any(|seen| seen.starts_with(line));
    has("cluster_state:ok") && has("cluster_slots_ok:16384")
}

fn follows(node: &RedisServer) -> bool {
    let role = node.lines(&["ROLE"]);
    role[0] == "master" || role.get(3).is_some_and(|link| link == "connected")
}
