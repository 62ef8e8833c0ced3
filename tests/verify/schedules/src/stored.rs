//! Tasks on a store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use shuttle::{
    future,
    rand::{Rng, thread_rng},
};
use table::{Answer, Event, History, Operation};
use tokio::sync::Notify;
use tower_idempotency::{
    Effects, Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError},
};

use crate::perform::Key;

/// Which store is tried.
#[derive(Clone, Copy, Debug)]
pub enum Stores {
    Memory,
    Broken(Broken),
}

/// A fault that must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A claim looks first and writes later.
    RacyClaim,
    /// Who waits is registered when first polled, not when it asks.
    LostWakeUp,
    /// The owner's end forgets whom to wake, and who comes next is known under another name.
    AnotherGeneration,
}

impl Stores {
    fn make(self) -> Arc<dyn Store> {
        match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            Self::Broken(fault) => Arc::new(Faulty {
                fault,
                inner: MemoryStore::new(),
                taken: Mutex::default(),
                waited_for: Mutex::default(),
            }),
        }
    }
}

const KEY: Key = Key {
    name: RecordName::from_bytes([3; RecordName::LEN]),
    lease: Duration::from_secs(10),
};

/// Some owners claim a key at once: one gets it.
pub fn race(stores: Stores) {
    let store = stores.make();
    let claims: Vec<_> = (0..3)
        .map(|owner| {
            let store = Arc::clone(&store);
            future::spawn(async move {
                let claim = Operation::Claim {
                    owner,
                    request: 0,
                    retry: true,
                };
                KEY.perform(&*store, claim).await.expect("it answers")
            })
        })
        .collect();
    let answers = future::block_on(async {
        let mut answers = Vec::new();
        for claim in claims {
            answers.push(claim.await.expect("no panic"));
        }
        answers
    });
    let first = Answer::Acquired {
        fence: 1,
        attempt: 1,
    };
    let acquired = answers.iter().filter(|answer| **answer == first).count();
    assert_eq!(
        acquired, 1,
        "of three claims, these were acquired: {answers:?}"
    );
}

/// Some tasks do anything, while the clock may be turned: the table explains what they are told.
pub fn history(stores: Stores) {
    let store = stores.make();
    let lapses = thread_rng().gen_bool(0.5);
    let clock = Arc::new(Mutex::new(0));
    let tick = |clock: &Mutex<u64>| {
        let mut now = clock.lock().expect("never poisoned");
        *now += 1;
        *now
    };
    let tasks: Vec<_> = (0..3)
        .map(|task| {
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            future::spawn(async move {
                let mut events = Vec::new();
                for number in 0..4 {
                    let operation = operation(task * 4 + number);
                    let called = tick(&clock);
                    let answer = KEY.perform(&*store, operation).await.expect("it answers");
                    let event = Event {
                        operation,
                        called,
                        answered: Some((tick(&clock), answer)),
                    };
                    events.push(event);
                }
                events
            })
        })
        .collect();
    if lapses {
        future::block_on(async {
            future::yield_now().await;
            // Past the lease, and short of every expiry.
            let lease =
                tokio::task::spawn(tokio::time::sleep(KEY.lease + Duration::from_millis(1)));
            while !lease.is_finished() {
                tokio::time::turn();
                future::yield_now().await;
            }
        });
    }
    let mut history = History {
        events: Vec::new(),
        lapses,
    };
    for task in tasks {
        history
            .events
            .extend(future::block_on(task).expect("no panic"));
    }
    assert!(
        history.is_explained(),
        "nothing explains {:?}",
        history.shrunk().events
    );
}

fn operation(record: u16) -> Operation {
    let mut rng = thread_rng();
    let owner = rng.gen_range(0..3);
    match rng.gen_range(0..9) {
        0..=3 => Operation::Claim {
            owner,
            request: u8::from(rng.gen_range(0..4) == 0),
            retry: rng.gen_range(0..4) > 0,
        },
        4 => Operation::Renew(owner),
        5 => Operation::Complete(owner, record),
        6 => Operation::Release(owner),
        _ => Operation::Abandon(owner),
    }
}

/// Some wait until the key is theirs to run or done. Time stands still, so that nothing but a wake-up
/// helps them: one that is lost leaves its waiter for ever.
pub fn woken(stores: Stores) {
    let store = stores.make();
    let tasks: Vec<_> = (0..3)
        .map(|owner| {
            let store = Arc::clone(&store);
            future::spawn(async move {
                loop {
                    let changed = store.changed(&KEY.name);
                    let claim = Operation::Claim {
                        owner,
                        request: 0,
                        retry: true,
                    };
                    match KEY.perform(&*store, claim).await.expect("it answers") {
                        Answer::Held(_) => changed.await,
                        Answer::Acquired { .. } => break,
                        Answer::Completed(_) => return,
                        answer => panic!("{answer:?}"),
                    }
                }
                future::yield_now().await;
                let end = match thread_rng().gen_range(0..3) {
                    0 => Operation::Complete(owner, 1),
                    1 => Operation::Release(owner),
                    _ => Operation::Abandon(owner),
                };
                KEY.perform(&*store, end).await.expect("it answers");
            })
        })
        .collect();
    for task in tasks {
        future::block_on(task).expect("no panic");
    }
}

/// A store that is wrong on purpose, around one that is not.
struct Faulty {
    fault: Broken,
    inner: MemoryStore,
    taken: Mutex<bool>,
    waited_for: Mutex<HashMap<RecordName, Arc<Notify>>>,
}

impl Faulty {
    fn wake(&self, claim: &Claim) {
        let woken = self
            .waited_for
            .lock()
            .expect("never poisoned")
            .remove(claim.name());
        if let Some(notify) = woken {
            notify.notify_waiters();
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        if self.fault == Broken::RacyClaim {
            let is_taken = *self.taken.lock().expect("never poisoned");
            future::yield_now().await;
            if !is_taken {
                *self.taken.lock().expect("never poisoned") = true;
                return Ok(Claimed::Acquired(tower_idempotency::store::Acquired::new(
                    1, 1,
                )));
            }
            return Ok(Claimed::Held {
                fingerprint: Some(*fingerprint),
                left: None,
            });
        }
        self.inner.claim(claim, fingerprint, unknown_outcome).await
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.inner.renew(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        let completion = self.inner.complete(claim, record, effects).await;
        self.wake(claim);
        completion
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let released = self.inner.release(claim).await;
        self.wake(claim);
        released
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        let abandoned = self.inner.abandon(claim).await;
        self.wake(claim);
        abandoned
    }

    fn changed(&self, name: &RecordName) -> Changed {
        match self.fault {
            Broken::LostWakeUp => {
                let (inner, name) = (self.inner.clone(), *name);
                Box::pin(async move { inner.changed(&name).await })
            }
            Broken::AnotherGeneration => {
                let mut waited_for = self.waited_for.lock().expect("never poisoned");
                let notify = Arc::clone(waited_for.entry(*name).or_default());
                drop(waited_for);
                // Here the owner may end, and whoever is next gets a `Notify` of its own.
                Box::pin(notify.notified_owned())
            }
            Broken::RacyClaim => self.inner.changed(name),
        }
    }
}
