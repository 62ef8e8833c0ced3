use std::time::Duration;

use bytes::Bytes;

use super::clock::nanos;
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    store::{Acquired, Claim, Claimed, OwnerToken},
};

/// What is held for one key. Most keys are completed, so that state is kept small.
pub(super) enum Slot {
    InFlight(Box<InFlight>),
    Completed(Completed),
}

const _: () = assert!(size_of::<Slot>() <= 48, "a slot grew");

/// A claim: live, lapsed or abandoned.
pub(super) struct InFlight {
    owner: OwnerToken,
    fingerprint: Fingerprint,
    abandoned: bool,
    attempt: u32,
    fence: u64,
    deadline: u64,
    expires: u64,
}

/// A record and whose it is.
pub(super) struct Completed {
    record: Bytes,
    owner: OwnerMark,
    expires: u64,
}

/// The first half of an owner token: 64 random bits tell the few owners of one key apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct OwnerMark([u8; 8]);

impl OwnerMark {
    fn of(owner: &OwnerToken) -> Self {
        let mut mark = [0; 8];
        mark.copy_from_slice(&owner.as_bytes()[..8]);
        Self(mark)
    }
}

/// What a queued key is recognised by: the slot it was queued for may be gone, and another in its
/// place.
pub(super) type Tag = [u8; 2];

impl Slot {
    pub(super) fn claimed(claim: &Claim, fingerprint: &Fingerprint, now: u64) -> Self {
        let mut claimed = InFlight {
            owner: *claim.owner(),
            fingerprint: *fingerprint,
            abandoned: false,
            attempt: 1,
            fence: 1,
            deadline: 0,
            expires: 0,
        };
        claimed.renew(claim, now);
        Self::InFlight(Box::new(claimed))
    }

    pub(super) fn completed(claim: &Claim, record: Bytes, now: u64) -> Self {
        Self::Completed(Completed {
            record,
            owner: OwnerMark::of(claim.owner()),
            expires: after(now, claim.ttl()),
        })
    }

    /// Returns the claim if it is this owner's and was not abandoned.
    pub(super) fn in_flight_by(&mut self, owner: &OwnerToken) -> Option<&mut InFlight> {
        match self {
            Self::InFlight(claim) if claim.owner == *owner && !claim.abandoned => Some(claim),
            _ => None,
        }
    }

    pub(super) fn completed_by(&self, owner: &OwnerToken) -> bool {
        matches!(self, Self::Completed(record) if record.owner == OwnerMark::of(owner))
    }

    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires() <= now
    }

    pub(super) fn expires(&self) -> u64 {
        match self {
            Self::InFlight(claim) => claim.expires,
            Self::Completed(record) => record.expires,
        }
    }

    pub(super) fn tag(&self) -> Tag {
        let mark = match self {
            Self::InFlight(claim) => OwnerMark::of(&claim.owner),
            Self::Completed(record) => record.owner,
        };
        [mark.0[0], mark.0[1]]
    }

    /// Returns the bytes of the record, if there is one.
    pub(super) fn record_len(&self) -> Option<usize> {
        match self {
            Self::InFlight(_) => None,
            Self::Completed(record) => Some(record.record.len()),
        }
    }

    /// Claims a slot that has not expired.
    pub(super) fn claim(
        &mut self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
        now: u64,
    ) -> Claimed {
        match self {
            Self::InFlight(held) => held.claim(claim, fingerprint, unknown_outcome, now),
            Self::Completed(record) => Claimed::Completed(record.record.clone()),
        }
    }
}

impl InFlight {
    fn claim(
        &mut self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
        now: u64,
    ) -> Claimed {
        if self.owner == *claim.owner() && !self.abandoned {
            return self.acquired();
        }
        if self.is_live(now) {
            return Claimed::Held {
                fingerprint: Some(self.fingerprint),
                left: Some(Duration::from_nanos(self.deadline - now)),
            };
        }
        if unknown_outcome == UnknownOutcome::Refuse || self.fingerprint != *fingerprint {
            return Claimed::Unknown {
                fingerprint: self.fingerprint,
                effect_committed: false,
            };
        }
        self.owner = *claim.owner();
        self.abandoned = false;
        self.attempt = self.attempt.saturating_add(1);
        self.fence = self.fence.saturating_add(1);
        self.renew(claim, now);
        self.acquired()
    }

    fn acquired(&self) -> Claimed {
        Claimed::Acquired(Acquired::new(self.fence, self.attempt))
    }

    pub(super) fn is_live(&self, now: u64) -> bool {
        !self.abandoned && now < self.deadline
    }

    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    pub(super) fn renew(&mut self, claim: &Claim, now: u64) {
        self.deadline = after(now, claim.lease());
        self.expires = after(self.deadline, claim.ttl());
    }

    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    pub(super) fn is_first(&self) -> bool {
        self.fence == 1
    }
}

fn after(moment: u64, duration: Duration) -> u64 {
    moment.saturating_add(nanos(duration))
}
