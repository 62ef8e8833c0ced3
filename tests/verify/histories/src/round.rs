//! A round: some tasks, each with some operations on some keys, all at once.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use table::{Event, History, Operation};
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_idempotency::{RecordName, Store};

use crate::perform::Key;

/// How a round goes.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub tasks: usize,
    pub operations: usize,
    pub keys: usize,
    /// Leases are as short as leases can be, and pass all the time.
    pub lapses: bool,
    /// Some operations are dropped before they are answered.
    pub drops: bool,
}

impl Round {
    pub const PLAIN: Self = Self {
        tasks: 4,
        operations: 7,
        keys: 2,
        lapses: false,
        drops: false,
    };

    /// Plays a round that is drawn from a seed, and returns the history of each key.
    ///
    /// Every task has a client of its own.
    pub async fn play(self, clients: &[Arc<dyn Store>], seed: u64) -> Vec<History> {
        let mut rng = Rng::with_seed(seed);
        let lease = Duration::from_millis(if self.lapses { 1 } else { 3_600_000 });
        let keys: Vec<_> = std::iter::repeat_with(|| {
            let mut name = [0; RecordName::LEN];
            rng.fill(&mut name);
            let name = RecordName::from_bytes(name);
            Key { name, lease }
        })
        .take(self.keys)
        .collect();
        let clock = Arc::new(AtomicU64::new(0));
        let start = Arc::new(Barrier::new(self.tasks));
        let mut tasks = JoinSet::new();
        for task in 0..self.tasks {
            let store = Arc::clone(&clients[task % clients.len()]);
            let plan = self.plan(&mut rng, task);
            let (keys, clock, start) = (keys.clone(), Arc::clone(&clock), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                let mut events = Vec::new();
                for step in plan {
                    if let Some(pause) = step.pause {
                        sleep(pause).await;
                    }
                    let called = clock.fetch_add(1, Ordering::SeqCst);
                    let key = &keys[step.key];
                    let answer = key.perform(&*store, step.operation);
                    let answer = match step.patience {
                        Some(patience) => timeout(patience, answer).await.ok(),
                        None => Some(answer.await),
                    };
                    let answered = answer
                        .and_then(Result::ok)
                        .map(|answer| (clock.fetch_add(1, Ordering::SeqCst), answer));
                    let event = Event {
                        operation: step.operation,
                        called,
                        answered,
                    };
                    events.push((step.key, event));
                }
                events
            });
        }
        let mut histories = vec![
            History {
                events: Vec::new(),
                lapses: self.lapses,
            };
            self.keys
        ];
        for (key, event) in tasks.join_all().await.into_iter().flatten() {
            histories[key].events.push(event);
        }
        histories
    }

    fn plan(self, rng: &mut Rng, task: usize) -> Vec<Step> {
        (0..self.operations)
            .map(|number| {
                let record = u16::try_from(task * self.operations + number).expect("few of them");
                Step {
                    key: rng.usize(..self.keys),
                    operation: operation(rng, record),
                    // Long enough for a lease to pass, now and then.
                    pause: (self.lapses && rng.bool()).then(|| Duration::from_millis(rng.u64(..3))),
                    patience: (self.drops && rng.u8(..8) == 0)
                        .then(|| Duration::from_micros(rng.u64(..300))),
                }
            })
            .collect()
    }
}

struct Step {
    key: usize,
    operation: Operation,
    pause: Option<Duration>,
    /// How long the answer is waited for, where that is not for ever.
    patience: Option<Duration>,
}

fn operation(rng: &mut Rng, record: u16) -> Operation {
    const OWNERS: Range<u8> = 0..3;
    let owner = rng.u8(OWNERS);
    match rng.u8(..10) {
        0..=4 => Operation::Claim {
            owner,
            request: u8::from(rng.u8(..4) == 0),
            retry: rng.u8(..4) > 0,
        },
        5 => Operation::Renew(owner),
        6 => Operation::Complete(owner, record),
        7 => Operation::Release(owner),
        _ => Operation::Abandon(owner),
    }
}
