use super::{
    clock,
    failure::Failure,
    row::{Left, Row, State},
};
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    store::{Acquired, Claim, Claimed},
};

/// What a claim comes to, given what is kept under its name.
#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing is there: the claim is made.
    New,
    /// The claim was made before.
    Resent(Acquired),
    /// The claim follows another whose outcome is unknown.
    TakeOver(Acquired),
    /// The claim is not made.
    Answer(Claimed),
    /// The claim is not made, and the one that stands in its way now ends at this time.
    Shorten(Claimed, i64),
}

impl Decision {
    pub(super) fn on(
        row: Option<Row>,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
        now: i64,
    ) -> Result<Self, Failure> {
        let Some(row) = row else {
            return Ok(Self::New);
        };
        if let State::Completed(record) = row.state {
            return Ok(Self::Answer(Claimed::Completed(record.into())));
        }
        if row.is_in_flight_by(claim) {
            return Ok(Self::Resent(row.acquired(row.fence, row.attempt)));
        }
        let theirs = row.fingerprint()?;
        let held = |left| Claimed::Held {
            fingerprint: Some(theirs),
            left: Some(left),
        };
        match row.left(now) {
            Left::Of(left) => Ok(Self::Answer(held(left))),
            Left::TooMuch(lease) => Ok(Self::Shorten(
                held(lease),
                now.saturating_add(clock::millis(lease)),
            )),
            Left::Nothing if unknown_outcome == UnknownOutcome::Retry && theirs == *fingerprint => {
                let (fence, attempt) = (row.fence.saturating_add(1), row.attempt.saturating_add(1));
                Ok(Self::TakeOver(row.acquired(fence, attempt)))
            }
            Left::Nothing => Ok(Self::Answer(Claimed::Unknown {
                fingerprint: theirs,
                effect_committed: row.effect_committed,
            })),
        }
    }
}

impl Row {
    fn acquired(&self, fence: u64, attempt: u32) -> Acquired {
        let mut acquired = Acquired::new(fence, attempt);
        acquired.effect_committed = self.effect_committed;
        acquired
    }

    /// Says whether whoever only reads may answer a claim from this: what a reader saw was so at
    /// some moment since the claim was made. It decides nothing that takes a write.
    pub(super) fn answer(self, claim: &Claim, now: i64) -> Result<Option<Claimed>, Failure> {
        if let State::Completed(record) = self.state {
            return Ok(Some(Claimed::Completed(record.into())));
        }
        match self.left(now) {
            Left::Of(left) if !self.is_in_flight_by(claim) => Ok(Some(Claimed::Held {
                fingerprint: Some(self.fingerprint()?),
                left: Some(left),
            })),
            _ => Ok(None),
        }
    }
}
