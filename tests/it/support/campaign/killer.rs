use std::{ops::Range, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Trouble, Troubles, fleet::Fleet, now, toll::Toll};
use crate::support::sockets::Dice;

/// Kills servers, stops them for longer than their lease, and troubles their store, at random.
pub(super) struct Killer<'a> {
    pub(super) fleet: Arc<Fleet>,
    pub(super) troubles: &'a mut dyn Troubles,
    pub(super) lease: Duration,
    /// Whether servers are stopped, too.
    pub(super) stops: bool,
    pub(super) dice: Dice,
}

/// What a killer did to the store.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    pub(super) toll: Toll,
    pub(super) outages: Vec<Range<u64>>,
    pub(super) losses: Vec<Range<u64>>,
}

impl Killer<'_> {
    /// Goes on until it is told that it is enough, and leaves every server running.
    pub(super) async fn go_on(mut self, mut enough: impl FnMut(&Toll) -> bool) -> Deeds {
        let mut deeds = Deeds::default();
        let mut stopped = JoinSet::new();
        let lease = u64::try_from(self.lease.as_micros()).expect("a short lease");
        loop {
            sleep(self.dice.micros(100_000..600_000)).await;
            if enough(&deeds.toll) {
                break;
            }
            let places = self.fleet.len() as u64;
            let place = usize::try_from(self.dice.roll(0..places)).expect("a small number");
            match self.dice.roll(0..100) {
                0..45 => {
                    self.fleet.kill(place).await;
                    deeds.toll.kills += 1;
                }
                45..85 if !self.stops => {}
                45..85 => {
                    let during = self.dice.micros(lease * 11 / 10..lease * 9 / 5);
                    let fleet = Arc::clone(&self.fleet);
                    stopped.spawn(async move { fleet.stop(place, sleep(during)).await });
                    deeds.toll.stops += 1;
                }
                _ => self.trouble(&mut deeds).await,
            }
        }
        while let Some(ended) = stopped.join_next().await {
            ended.expect("a server goes on");
        }
        deeds
    }

    async fn trouble(&mut self, deeds: &mut Deeds) {
        let (start, began) = (now(), Instant::now());
        let trouble = self.troubles.strike(&mut self.dice).await;
        match trouble {
            Trouble::None => return,
            Trouble::Moved => {
                deeds.toll.moves += 1;
                return;
            }
            Trouble::Away => deeds.toll.restarts += 1,
            Trouble::Lost => {
                deeds.toll.losses += 1;
                deeds.losses.push(start..now());
            }
        }
        // Each server takes a moment to find it again.
        let found = Duration::from_secs(1);
        deeds.outages.push(start..now() + 1000);
        deeds.toll.away += began.elapsed();
        sleep(found).await;
    }
}
