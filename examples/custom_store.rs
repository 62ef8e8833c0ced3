//! A store of one's own, whole, in one file.
//!
//! ```sh
//! cargo run --example custom_store --features testing
//! ```
//!
//! It runs the conformance suite on itself and prints whether it keeps the contract. It never
//! forgets what nobody asks for again, and has no bound: `MemoryStore` is what to use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};
use tower_idempotency::{
    Fingerprint, RecordName, Store, UnknownOutcome,
    store::{
        Acquired, Changed, Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreError,
    },
    testing::{Capabilities, conformance},
};

/// Keeps everything in one map behind one lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct CustomStore {
    slots: Arc<Mutex<HashMap<RecordName, Slot>>>,
    // One for all names: a waiter may be woken for nothing.
    changed: Arc<Notify>,
}

#[derive(Debug, Clone)]
struct Slot {
    owner: OwnerToken,
    expires: Instant,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// Lapsed once the deadline has passed; abandoned when there is none.
    InFlight {
        fingerprint: Fingerprint,
        fence: u32,
        deadline: Option<Instant>,
    },
    Completed(Bytes),
}

impl CustomStore {
    /// Makes one atomic step on one name: what has expired is absent, and what the step leaves in
    /// the slot is kept.
    fn step<T>(&self, claim: &Claim, step: impl FnOnce(&mut Option<Slot>, Instant) -> T) -> T {
        let mut slots = self.slots.lock().unwrap();
        let now = Instant::now();
        let mut slot = slots.remove(claim.name()).filter(|slot| now < slot.expires);
        let answer = step(&mut slot, now);
        if let Some(slot) = slot {
            slots.insert(*claim.name(), slot);
        }
        answer
    }
}

impl Slot {
    fn claimed(claim: &Claim, fingerprint: Fingerprint, fence: u32, now: Instant) -> Self {
        let deadline = now + claim.lease();
        let state = State::InFlight {
            fingerprint,
            fence,
            deadline: Some(deadline),
        };
        Self {
            owner: *claim.owner(),
            expires: deadline + claim.ttl(),
            state,
        }
    }

    /// Returns the fingerprint and the fence, if the claim is this owner's and not abandoned.
    fn in_flight_by(&self, claim: &Claim) -> Option<(Fingerprint, u32)> {
        match self.state {
            State::InFlight {
                fingerprint,
                fence,
                deadline: Some(_),
            } if self.owner == *claim.owner() => Some((fingerprint, fence)),
            _ => None,
        }
    }

    fn abandon(&mut self) {
        if let State::InFlight { deadline, .. } = &mut self.state {
            *deadline = None;
        }
    }
}

fn acquired(fence: u32) -> Claimed {
    Claimed::Acquired(Acquired::new(fence.into(), fence))
}

#[async_trait::async_trait]
impl Store for CustomStore {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        Ok(self.step(claim, |slot, now| {
            let Some(found) = slot else {
                *slot = Some(Slot::claimed(claim, *fingerprint, 1, now));
                return acquired(1);
            };
            if let Some((_, fence)) = found.in_flight_by(claim) {
                return acquired(fence);
            }
            match found.state.clone() {
                State::Completed(record) => Claimed::Completed(record),
                State::InFlight {
                    fingerprint,
                    deadline: Some(deadline),
                    ..
                } if now < deadline => Claimed::Held {
                    fingerprint: Some(fingerprint),
                    left: Some(deadline - now),
                },
                State::InFlight {
                    fingerprint: theirs,
                    fence,
                    ..
                } => {
                    if unknown_outcome == UnknownOutcome::Refuse || theirs != *fingerprint {
                        return Claimed::Unknown {
                            fingerprint: theirs,
                            effect_committed: false,
                        };
                    }
                    *found = Slot::claimed(claim, theirs, fence + 1, now);
                    acquired(fence + 1)
                }
            }
        }))
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        Ok(self.step(claim, |slot, now| {
            let Some(found) = slot else {
                return Renewal::Lost;
            };
            let Some((fingerprint, fence)) = found.in_flight_by(claim) else {
                return Renewal::Lost;
            };
            *found = Slot::claimed(claim, fingerprint, fence, now);
            Renewal::Renewed
        }))
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _effects: Effects,
    ) -> Result<Completion, StoreError> {
        let completion = self.step(claim, |slot, now| {
            if let Some(found) = slot
                .as_ref()
                .filter(|found| found.in_flight_by(claim).is_none())
            {
                let is_mine = found.owner == *claim.owner();
                let is_resend = is_mine && matches!(found.state, State::Completed(_));
                return if is_resend {
                    Completion::Kept
                } else {
                    Completion::Superseded
                };
            }
            let (owner, expires) = (*claim.owner(), now + claim.ttl());
            *slot = Some(Slot {
                owner,
                expires,
                state: State::Completed(record),
            });
            Completion::Kept
        });
        self.changed.notify_waiters();
        Ok(completion)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.step(claim, |slot, _| {
            match slot.as_ref().and_then(|found| found.in_flight_by(claim)) {
                Some((_, 1)) => *slot = None,
                // The fence must go on counting.
                Some(_) => slot.iter_mut().for_each(Slot::abandon),
                None => {}
            }
        });
        self.changed.notify_waiters();
        Ok(())
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.step(claim, |slot, _| {
            slot.iter_mut()
                .filter(|found| found.in_flight_by(claim).is_some())
                .for_each(Slot::abandon);
        });
        self.changed.notify_waiters();
        Ok(())
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(Arc::clone(&self.changed).notified_owned())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // A test would pause tokio's clock instead: then this takes no time at all.
    let capabilities = Capabilities::durable().pace(Duration::from_millis(100));
    let store = CustomStore::default();
    match conformance(|| async { store.clone() }, capabilities).await {
        Ok(()) => println!("The store keeps its contract."),
        Err(violations) => {
            eprintln!("{violations}");
            std::process::exit(1);
        }
    }
}
