use std::time::Duration;

use bytes::Bytes;

use super::{clock::nanos, key::Key};
use crate::{
    admin::{Entry, Repair, State},
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    record::Record,
    record_name::RecordName,
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
    /// What the key leaves out of the name: whoever records an answer by hand needs all of it.
    rest_of_name: [u8; RecordName::LEN - Key::LEN],
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
            rest_of_name: Key::rest_of(claim.name()),
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

    /// Returns what an operator sees of it. `name` is what it was found under, whole or not.
    pub(super) fn entry(&self, name: &RecordName, now: u64) -> Entry {
        let expires_in = Duration::from_nanos(self.expires().saturating_sub(now));
        match self {
            Self::InFlight(claim) => claim.entry(name, expires_in, now),
            Self::Completed(completed) => {
                let record = &completed.record;
                let whole = Record::name_in(record, Key::of(name).as_bytes());
                let name = whole.unwrap_or(*name);
                let mut entry = Entry::new(name, State::Completed, expires_in);
                entry.bytes = record.len();
                entry
            }
        }
    }

    pub(super) fn record(&self) -> Option<&Bytes> {
        match self {
            Self::InFlight(_) => None,
            Self::Completed(completed) => Some(&completed.record),
        }
    }

    pub(super) fn is_live(&self, now: u64) -> bool {
        matches!(self, Self::InFlight(claim) if claim.is_live(now))
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

    fn entry(&self, name: &RecordName, expires_in: Duration, now: u64) -> Entry {
        let state = match (self.abandoned, self.is_live(now)) {
            (true, _) => State::Abandoned,
            (false, true) => State::InFlight,
            (false, false) => State::Lapsed,
        };
        let name = Key::of(name).name(&self.rest_of_name);
        let mut entry = Entry::new(name, state, expires_in);
        if state == State::InFlight {
            entry.lease_left = Some(Duration::from_nanos(self.deadline - now));
        }
        entry.fence = Some(self.fence);
        entry.attempt = Some(self.attempt);
        entry.fingerprint = Some(self.fingerprint);
        entry
    }

    /// Returns whether a repair is of this very run.
    pub(super) fn is_repaired_by(&self, repair: &Repair) -> bool {
        self.fence == repair.fence() && self.fingerprint == *repair.fingerprint()
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
