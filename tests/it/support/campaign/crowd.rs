use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Campaign, Sighting, client::Client, fleet::Fleet};
use crate::support::sockets::Dice;

/// All clients of a campaign.
pub(super) struct Crowd {
    clients: JoinSet<Vec<Resolved>>,
    done: Arc<AtomicUsize>,
    end: CancellationToken,
}

/// A key whose requests were answered, and who sent them.
struct Resolved {
    sighting: Sighting,
    client: Client,
    dice: Dice,
}

impl Crowd {
    /// Has so many clients take one key after the other, until it is told to end.
    pub(super) fn start(campaign: &Campaign, fleet: &Arc<Fleet>, dice: &Dice) -> Self {
        let mut crowd = Self {
            clients: JoinSet::new(),
            done: Arc::default(),
            end: CancellationToken::new(),
        };
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..campaign.clients {
            let (fleet, lease, dice) = (Arc::clone(fleet), campaign.lease, dice.clone());
            let (next, done) = (Arc::clone(&next), Arc::clone(&crowd.done));
            let end = crowd.end.clone();
            crowd.clients.spawn(async move {
                let mut all = Vec::new();
                while !end.is_cancelled() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let mut dice = dice.for_part(number as u64);
                    let client = Client::new(&fleet, lease, number, &mut dice);
                    let sighting = client.resolve(&mut dice).await;
                    all.push(Resolved {
                        sighting,
                        client,
                        dice,
                    });
                    done.fetch_add(1, Ordering::Relaxed);
                }
                all
            });
        }
        crowd
    }

    /// How many keys were answered.
    pub(super) fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets every client finish, and then ask once more for all that it was answered.
    pub(super) async fn end(mut self) -> Vec<Sighting> {
        self.end.cancel();
        let mut asking = JoinSet::new();
        while let Some(all) = self.clients.join_next().await {
            let all = all.expect("a client that ends");
            asking.spawn(async move {
                let mut sightings = Vec::new();
                for mut resolved in all {
                    let (client, dice) = (&resolved.client, resolved.dice);
                    client.ask_again(&mut resolved.sighting, dice).await;
                    sightings.push(resolved.sighting);
                }
                sightings
            });
        }
        let mut sightings = Vec::new();
        while let Some(asked) = asking.join_next().await {
            sightings.extend(asked.expect("a client that ends"));
        }
        sightings
    }
}
