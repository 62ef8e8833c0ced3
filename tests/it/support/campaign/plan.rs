use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Evidence, Troubles,
    crowd::Crowd,
    fleet::Fleet,
    killer::{Deeds, Killer},
    stalls::Stalls,
    toll::Toll,
};
use crate::support::sockets::Dice;

/// What is tried, and on what.
#[derive(Debug, Clone)]
pub(crate) struct Campaign {
    /// The URL that the servers are given.
    pub(crate) store: String,
    /// How many servers each policy has.
    pub(crate) servers: usize,
    /// How long a claim lasts that nobody renews.
    pub(crate) lease: Duration,
    /// How long servers have a request wait for a running owner.
    pub(crate) wait: Duration,
    /// How many keys are used, half of them under each policy, at least.
    pub(crate) keys: usize,
    /// How many servers are killed, at least.
    pub(crate) kills: usize,
    /// How long it goes on, at least.
    pub(crate) time: Duration,
    /// How many keys are under way at the same time.
    pub(crate) clients: usize,
    /// Whether a claim goes with the connection of its process, as where it is a transaction.
    pub(crate) claims_die: bool,
    /// Whether servers are also stopped for a while. One that is stopped while it has the lock of a
    /// file stops all others, so that each of their leases may lapse.
    pub(crate) stops: bool,
}

impl Campaign {
    /// The form that belongs to every test run: about twenty seconds.
    pub(crate) fn short(store: impl Into<String>) -> Self {
        Self {
            store: store.into(),
            servers: 3,
            lease: Duration::from_millis(1500),
            wait: Duration::from_millis(300),
            keys: 1000,
            kills: 8,
            time: Duration::from_secs(15),
            clients: 16,
            claims_die: false,
            stops: true,
        }
    }

    /// The form that `tests/run.sh long` runs.
    pub(crate) fn long(store: impl Into<String>) -> Self {
        Self {
            keys: 20_000,
            kills: 60,
            clients: 32,
            ..Self::short(store)
        }
    }

    /// Carries it out, prints what was tried and found, and asserts that every promise was kept.
    pub(crate) async fn run(&self, troubles: &mut dyn Troubles) {
        let evidence = self.carry_out(troubles).await;
        let verdict = evidence.judge();
        println!(
            "found: {} runs, {} repeated as they may, {} begun late under an outdated fence, \
             {} doubles explained by a loss of the store's, {} answers shown but not saved",
            evidence.runs.len(),
            verdict.repeated,
            verdict.late,
            verdict.lost,
            verdict.unsaved,
        );
        let violations = format!("{:?}", verdict.violations);
        if !verdict.violations.is_empty() {
            for run in &evidence.runs {
                if violations.contains(&run.key) {
                    println!("{run:?} in {:?}", evidence.processes[run.process]);
                }
            }
            println!(
                "outages: {:?}; stalls: {:?}",
                evidence.outages, evidence.stalls
            );
        }
        assert!(
            verdict.violations.is_empty(),
            "promises that were not kept: {violations}"
        );
    }

    async fn carry_out(&self, troubles: &mut dyn Troubles) -> Evidence {
        let dice = Dice::of("CAMPAIGN_SEED");
        let stalls = Stalls::watch(self.lease / 6);
        let fleet = Arc::new(Fleet::start(self).await);
        let start = Instant::now();
        let crowd = Crowd::start(self, &fleet, &dice);
        let killer = Killer {
            fleet: Arc::clone(&fleet),
            troubles,
            lease: self.lease,
            stops: self.stops,
            dice: dice.for_part(u64::MAX),
        };
        let enough = |toll: &Toll| {
            toll.kills >= self.kills && crowd.done() >= self.keys && start.elapsed() >= self.time
        };
        let Deeds {
            toll,
            outages,
            losses,
        } = killer.go_on(enough).await;
        let keys = crowd.end().await;
        let tried = start.elapsed();
        let fleet = Arc::into_inner(fleet).expect("nobody else has it");
        let servers = fleet.len();
        let (processes, runs) = fleet.end().await;
        let stalls = stalls.seen();
        println!(
            "tried: {} keys on {servers} servers in {tried:.1?}: {toll}; the machine stalled {} times",
            keys.len(),
            stalls.len(),
        );
        Evidence {
            lease: u64::try_from(self.lease.as_millis()).expect("a short lease"),
            claims_die: self.claims_die,
            processes,
            runs,
            keys,
            outages,
            stalls,
            losses,
        }
    }
}
