use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep},
};
use tower_idempotency::{
    Fingerprint, RecordName, Store, UnknownOutcome,
    store::{
        Acquired, Changed, Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreError,
        StoreErrorKind,
    },
};

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    RacyClaim,
    RacyOnThreads,
    RacyTakeover,
    LosersFail,
    ResendGetsNewFence,
    ResendAfterAbandonKeepsFence,
    /// No fault: the contract leaves it open.
    ResendRenews,
    MismatchTakesOver,
    RefuseTakesOver,
    TakeoverKeepsFence,
    TakeoverKeepsAttempt,
    TakeoverKeepsDeadline,
    CompletedIsRunAgain,
    HeldTellsWrongFingerprint,
    HeldTellsTtl,
    UnknownTellsWrongFingerprint,
    ClaimWaits,
    ClaimPanics,
    ClaimIsCached,
    RenewByAnyone,
    RenewAfterAbandon,
    RenewAfterCompletion,
    RenewFailsOnceLapsed,
    RenewForgetsDeadline,
    RenewForgetsExpiry,
    RenewIsSlow,
    RenewIsTooSlow,
    CompleteRefusesAbsent,
    CompleteRefusesLapsed,
    CompleteOverwritesSuccessor,
    CompleteOverwritesRecord,
    CompleteAfterAbandon,
    CompleteResendIsSuperseded,
    CompleteResendOverwrites,
    CompleteIsTorn,
    CompleteIsTornLater,
    ReleaseByAnyone,
    ReleaseForgetsFence,
    ReleaseRaisesFence,
    ReleaseForgetsRecord,
    ReleaseFailsOnceLapsed,
    AbandonByAnyone,
    AbandonFrees,
    AbandonDoesNothing,
    AbandonTwiceFrees,
    LeaseOnWrongClock,
    LeaseInSeconds,
    LeaseForgotten,
    LeaseTooLong,
    LongLeaseForgotten,
    RecordNeverExpires,
    ClaimNeverExpires,
    AbandonedExpiresAtOnce,
    TtlCountsFromClaim,
    TtlTooLong,
    ShortTtlIsForever,
    RecordTruncated,
    RecordIsText,
    NamesMixedUp,
    CompletionWakesNobody,
    ReleaseWakesNobody,
    AbandonWakesNobody,
    WakesOneOnly,
    WakesOnceOnly,
    RegistersAtFirstPoll,
    WakesItsOwnClientOnly,
    GoneWaiterSilences,
}

/// A store that keeps its contract but for one fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    fault: Fault,
    shared: Arc<Mutex<HashMap<RecordName, Slot>>>,
    woken_before: Arc<Mutex<HashSet<RecordName>>>,
    changed: Arc<Notify>,
    is_silent: Arc<AtomicBool>,
    cache: Mutex<HashMap<RecordName, Instant>>,
    began: (Instant, std::time::Instant),
}

#[derive(Debug, Clone)]
struct Slot {
    owner: OwnerToken,
    fingerprint: Fingerprint,
    fence: u64,
    attempt: u32,
    abandoned: bool,
    /// Of a fault alone: free, but for its fence.
    freed: bool,
    claimed: Instant,
    deadline: Instant,
    expires: Instant,
    record: Option<Bytes>,
}

impl Slot {
    fn is_in_flight(&self) -> bool {
        self.record.is_none() && !self.abandoned
    }

    fn is_live(&self, now: Instant) -> bool {
        self.is_in_flight() && now < self.deadline
    }
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            shared: Arc::default(),
            woken_before: Arc::default(),
            changed: Arc::default(),
            is_silent: Arc::default(),
            cache: Mutex::default(),
            began: (Instant::now(), std::time::Instant::now()),
        }
    }

    /// Returns another client of the same store.
    pub(crate) fn client(&self) -> Self {
        let is_alone = self.is(Fault::WakesItsOwnClientOnly);
        Self {
            shared: Arc::clone(&self.shared),
            woken_before: Arc::clone(&self.woken_before),
            changed: if is_alone {
                Arc::default()
            } else {
                Arc::clone(&self.changed)
            },
            is_silent: Arc::clone(&self.is_silent),
            cache: Mutex::default(),
            ..*self
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn now(&self) -> Instant {
        if self.is(Fault::LeaseOnWrongClock) {
            return self.began.0 + self.began.1.elapsed();
        }
        Instant::now()
    }

    fn name(&self, claim: &Claim) -> RecordName {
        if self.is(Fault::NamesMixedUp) {
            let mut name = [0; RecordName::LEN];
            name[..16].copy_from_slice(claim.owner().as_bytes());
            return RecordName::from_bytes(name);
        }
        *claim.name()
    }

    fn step<T>(&self, claim: &Claim, step: impl FnOnce(&mut Option<Slot>, Instant) -> T) -> T {
        let name = self.name(claim);
        let mut slots = self.shared.lock().unwrap();
        let now = self.now();
        let mut slot = slots
            .remove(&name)
            .filter(|slot| now < slot.expires || self.outlasts(slot));
        let answer = step(&mut slot, now);
        if let Some(slot) = slot {
            slots.insert(name, slot);
        }
        answer
    }

    fn outlasts(&self, slot: &Slot) -> bool {
        match self.fault {
            Fault::RecordNeverExpires => slot.record.is_some(),
            Fault::ClaimNeverExpires => slot.record.is_none(),
            _ => false,
        }
    }

    fn ttl(&self, claim: &Claim) -> Duration {
        match self.fault {
            Fault::TtlTooLong => claim.ttl().mul_f64(1.6),
            _ => claim.ttl(),
        }
    }

    fn claimed(&self, claim: &Claim, fingerprint: &Fingerprint, now: Instant) -> Slot {
        let lease = match self.fault {
            Fault::LeaseInSeconds => Duration::from_secs(claim.lease().as_secs() + 1),
            Fault::LeaseTooLong => claim.lease().mul_f64(1.6),
            Fault::LeaseForgotten => Duration::ZERO,
            Fault::LongLeaseForgotten if claim.lease() == Claim::MAX_LEASE => Duration::ZERO,
            _ => claim.lease(),
        };
        Slot {
            owner: *claim.owner(),
            fingerprint: *fingerprint,
            fence: 1,
            attempt: 1,
            abandoned: false,
            freed: false,
            claimed: now,
            deadline: now + lease,
            expires: now + lease + self.ttl(claim),
            record: None,
        }
    }

    fn claim_now(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Claimed {
        self.step(claim, |slot, now| {
            let Some(found) = slot else {
                let claimed = self.claimed(claim, fingerprint, now);
                return acquired(slot.insert(claimed));
            };
            let is_mine = found.owner == *claim.owner();
            if found.freed {
                let fence = found.fence + 1;
                *found = self.claimed(claim, fingerprint, now);
                found.fence = fence;
                return acquired(found);
            }
            if let Some(record) = found.record.clone() {
                if !self.is(Fault::CompletedIsRunAgain) {
                    return Claimed::Completed(record);
                }
            } else if is_mine
                && (found.is_in_flight() || self.is(Fault::ResendAfterAbandonKeepsFence))
            {
                found.fence += u64::from(self.is(Fault::ResendGetsNewFence));
                if self.is(Fault::ResendRenews) {
                    found.deadline = now + claim.lease();
                }
                return acquired(found);
            } else if found.is_live(now) {
                return self.held(found, fingerprint, now);
            }
            if unknown_outcome == UnknownOutcome::Refuse && !self.is(Fault::RefuseTakesOver)
                || found.fingerprint != *fingerprint && !self.is(Fault::MismatchTakesOver)
            {
                let is_wrong = self.is(Fault::UnknownTellsWrongFingerprint);
                return Claimed::Unknown {
                    fingerprint: if is_wrong {
                        *fingerprint
                    } else {
                        found.fingerprint
                    },
                    effect_committed: false,
                };
            }
            let mut next = self.claimed(claim, fingerprint, now);
            next.fence = found.fence + u64::from(!self.is(Fault::TakeoverKeepsFence));
            next.attempt = found.attempt + u32::from(!self.is(Fault::TakeoverKeepsAttempt));
            if self.is(Fault::TakeoverKeepsDeadline) {
                next.deadline = found.deadline;
            }
            *found = next;
            acquired(found)
        })
    }

    fn held(&self, found: &Slot, fingerprint: &Fingerprint, now: Instant) -> Claimed {
        let is_wrong = self.is(Fault::HeldTellsWrongFingerprint);
        let until = if self.is(Fault::HeldTellsTtl) {
            found.expires
        } else {
            found.deadline
        };
        Claimed::Held {
            fingerprint: Some(if is_wrong {
                *fingerprint
            } else {
                found.fingerprint
            }),
            left: Some(until - now),
        }
    }

    fn kept(&self, claim: &Claim, record: Bytes, found: Option<&Slot>, now: Instant) -> Slot {
        let mut slot = self.claimed(claim, &Fingerprint::from_bytes([0; 49]), now);
        slot.expires = now + self.ttl(claim);
        if let Some(found) = found.filter(|_| self.is(Fault::TtlCountsFromClaim)) {
            slot.expires = found.claimed + claim.ttl();
        }
        if self.is(Fault::ShortTtlIsForever) && claim.ttl() <= Claim::MIN {
            slot.expires = now + Claim::MAX_TTL;
        }
        slot.record = Some(match self.fault {
            Fault::RecordTruncated => record.slice(..record.len().min(1 << 16)),
            Fault::RecordIsText => String::from_utf8_lossy(&record).into_owned().into(),
            _ => record,
        });
        slot
    }

    fn complete_now(&self, claim: &Claim, record: Bytes) -> Completion {
        self.step(claim, |slot, now| {
            let is_free = match slot {
                None => !self.is(Fault::CompleteRefusesAbsent),
                Some(found) => {
                    let is_mine = found.owner == *claim.owner();
                    if found.record.is_some() && is_mine {
                        if self.is(Fault::CompleteResendOverwrites) {
                            found.record = Some(record);
                        }
                        let is_refused = self.is(Fault::CompleteResendIsSuperseded);
                        return if is_refused {
                            Completion::Superseded
                        } else {
                            Completion::Kept
                        };
                    }
                    match self.fault {
                        Fault::CompleteOverwritesSuccessor => found.record.is_none(),
                        Fault::CompleteOverwritesRecord => {
                            found.record.is_some() || is_mine && found.is_in_flight()
                        }
                        Fault::CompleteAfterAbandon => is_mine,
                        Fault::CompleteRefusesLapsed => is_mine && found.is_live(now),
                        _ => is_mine && found.is_in_flight(),
                    }
                }
            };
            if !is_free {
                return Completion::Superseded;
            }
            *slot = Some(self.kept(claim, record, slot.as_ref(), now));
            Completion::Kept
        })
    }

    fn wake(&self, claim: &Claim, silent: Fault) {
        let is_first = self.woken_before.lock().unwrap().insert(*claim.name());
        if self.is(silent) || self.is(Fault::WakesOnceOnly) && !is_first {
            return;
        }
        if self.is_silent.swap(false, Ordering::Relaxed) {
            return;
        }
        if self.is(Fault::WakesOneOnly) {
            return self.changed.notify_one();
        }
        self.changed.notify_waiters();
    }
}

/// Keeps the next change from everybody, if it is dropped.
struct Silencing(Arc<AtomicBool>);

impl Drop for Silencing {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn acquired(slot: &Slot) -> Claimed {
    Claimed::Acquired(Acquired::new(slot.fence, slot.attempt))
}

#[async_trait::async_trait]
impl Store for Faulty {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let name = self.name(claim);
        let before = self.shared.lock().unwrap().get(&name).cloned();
        let is_racy = match self.fault {
            Fault::RacyClaim | Fault::RacyOnThreads => before.is_none(),
            Fault::RacyTakeover => before.as_ref().is_some_and(|slot| slot.abandoned),
            _ => false,
        };
        if is_racy {
            if self.is(Fault::RacyOnThreads) {
                std::thread::sleep(Duration::from_micros(50));
            } else {
                yield_now().await;
            }
            self.step(claim, |slot, _| *slot = before);
        }
        let cached = self.cache.lock().unwrap().get(&name).copied();
        if self.is(Fault::ClaimIsCached) && cached.is_some_and(|until| self.now() < until) {
            return Ok(Claimed::Held {
                fingerprint: None,
                left: None,
            });
        }
        let claimed = self.claim_now(claim, fingerprint, unknown_outcome);
        if matches!(claimed, Claimed::Held { .. }) {
            assert!(!self.is(Fault::ClaimPanics), "the fault");
            if self.is(Fault::LosersFail) {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "too many"));
            }
            self.cache
                .lock()
                .unwrap()
                .insert(name, self.now() + Duration::from_millis(10));
            if self.is(Fault::ClaimWaits) {
                pending::<()>().await;
            }
        }
        Ok(claimed)
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        sleep(Duration::from_millis(match self.fault {
            Fault::RenewIsSlow => 250,
            Fault::RenewIsTooSlow => 8_000,
            _ => 0,
        }))
        .await;
        Ok(self.step(claim, |slot, now| {
            let Some(found) = slot else {
                return Renewal::Lost;
            };
            let is_mine = found.owner == *claim.owner();
            let is_renewed = match self.fault {
                Fault::RenewByAnyone => found.is_in_flight(),
                Fault::RenewAfterAbandon => is_mine && found.record.is_none(),
                Fault::RenewAfterCompletion => is_mine && !found.abandoned,
                Fault::RenewFailsOnceLapsed => is_mine && found.is_live(now),
                _ => is_mine && found.is_in_flight(),
            };
            if !is_renewed {
                return Renewal::Lost;
            }
            let renewed = self.claimed(claim, &found.fingerprint, now);
            if !self.is(Fault::RenewForgetsDeadline) {
                found.deadline = renewed.deadline;
            }
            if !self.is(Fault::RenewForgetsExpiry) {
                found.expires = renewed.expires;
            }
            Renewal::Renewed
        }))
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _effects: Effects,
    ) -> Result<Completion, StoreError> {
        if self.is(Fault::CompleteIsTornLater) {
            sleep(Duration::from_millis(2)).await;
        }
        let is_torn = matches!(
            self.fault,
            Fault::CompleteIsTorn | Fault::CompleteIsTornLater
        );
        if is_torn && self.complete_now(claim, Bytes::new()) == Completion::Kept {
            yield_now().await;
            if self.is(Fault::CompleteIsTornLater) {
                sleep(Duration::from_millis(5)).await;
            }
            self.step(claim, |slot, _| {
                if let Some(slot) = slot {
                    slot.record = Some(record.clone());
                }
            });
        }
        let completion = self.complete_now(claim, record);
        self.wake(claim, Fault::CompletionWakesNobody);
        Ok(completion)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.step(claim, |slot, now| {
            let Some(found) = slot else { return };
            let is_mine = found.owner == *claim.owner();
            let is_released = match self.fault {
                Fault::ReleaseByAnyone => found.is_in_flight(),
                Fault::ReleaseForgetsRecord => is_mine && !found.abandoned,
                Fault::ReleaseFailsOnceLapsed => is_mine && found.is_live(now),
                _ => is_mine && found.is_in_flight(),
            };
            if !is_released {
                return;
            }
            if self.is(Fault::ReleaseRaisesFence) {
                found.abandoned = true;
                found.freed = found.fence == 1;
            } else if found.fence == 1 || self.is(Fault::ReleaseForgetsFence) {
                *slot = None;
            } else {
                found.abandoned = true;
            }
        });
        self.wake(claim, Fault::ReleaseWakesNobody);
        Ok(())
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.step(claim, |slot, now| {
            let Some(found) = slot else { return };
            let is_mine = found.owner == *claim.owner() || self.is(Fault::AbandonByAnyone);
            if self.is(Fault::AbandonTwiceFrees) && is_mine && found.abandoned {
                *slot = None;
                return;
            }
            if !is_mine || !found.is_in_flight() {
                return;
            }
            match self.fault {
                Fault::AbandonFrees => *slot = None,
                Fault::AbandonDoesNothing => {}
                Fault::AbandonedExpiresAtOnce => {
                    found.abandoned = true;
                    found.expires = now + Duration::from_millis(50);
                }
                _ => found.abandoned = true,
            }
        });
        self.wake(claim, Fault::AbandonWakesNobody);
        Ok(())
    }

    fn changed(&self, _: &RecordName) -> Changed {
        let notify = Arc::clone(&self.changed);
        if self.is(Fault::RegistersAtFirstPoll) {
            return Box::pin(async move { notify.notified().await });
        }
        if self.is(Fault::GoneWaiterSilences) {
            let silencing = Silencing(Arc::clone(&self.is_silent));
            let notified = notify.notified_owned();
            return Box::pin(async move {
                notified.await;
                std::mem::forget(silencing);
            });
        }
        Box::pin(notify.notified_owned())
    }
}
