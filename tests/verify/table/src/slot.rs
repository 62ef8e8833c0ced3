use crate::{Answer, Operation, Owner, Request, Rule};

/// The state of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    Absent,
    InFlight { claim: Held, lapsed: bool },
    Abandoned { claim: Held },
    Completed { owner: Owner, record: u16 },
}

/// A claim that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    pub owner: Owner,
    pub request: Request,
    pub fence: u8,
    pub attempt: u8,
}

impl Slot {
    /// Returns whose the key is.
    pub const fn owner(&self) -> Option<Owner> {
        match *self {
            Self::Absent => None,
            Self::InFlight { claim, .. } | Self::Abandoned { claim } => Some(claim.owner),
            Self::Completed { owner, .. } => Some(owner),
        }
    }

    /// Applies an operation as the table says, but for the rule that is left out.
    pub fn apply(&mut self, operation: Operation, without: Option<Rule>) -> Answer {
        let keeps = |rule| without != Some(rule);
        match operation {
            Operation::Claim {
                owner,
                request,
                retry,
            } => self.claim(owner, request, retry, without),
            Operation::Renew(owner) => match *self {
                Self::InFlight { claim, lapsed }
                    if (claim.owner == owner || !keeps(Rule::RenewChecksOwner))
                        && (!lapsed || keeps(Rule::LapsedRenews)) =>
                {
                    *self = Self::in_flight(claim);
                    Answer::Renewed
                }
                Self::Abandoned { claim }
                    if claim.owner == owner && !keeps(Rule::AbandonedIsLost) =>
                {
                    *self = Self::in_flight(claim);
                    Answer::Renewed
                }
                _ => Answer::Lost,
            },
            Operation::Complete(owner, record) => {
                let is_free = match *self {
                    Self::Absent => keeps(Rule::LostCompletes),
                    Self::InFlight { claim, lapsed } => {
                        claim.owner == owner && (!lapsed || keeps(Rule::LapsedCompletes))
                    }
                    Self::Completed { owner: theirs, .. } if theirs == owner => {
                        return if keeps(Rule::CompleteAgain) {
                            Answer::Kept
                        } else {
                            Answer::Superseded
                        };
                    }
                    Self::Abandoned { .. } | Self::Completed { .. } => false,
                };
                if is_free || !keeps(Rule::CompleteChecksOwner) {
                    *self = Self::Completed { owner, record };
                    return Answer::Kept;
                }
                Answer::Superseded
            }
            Operation::Release(owner) => {
                if let Self::InFlight { claim, .. } = *self
                    && (claim.owner == owner || !keeps(Rule::ReleaseChecksOwner))
                {
                    *self = if claim.fence == 1 || !keeps(Rule::ReleaseKeepsFence) {
                        Self::Absent
                    } else {
                        Self::Abandoned { claim }
                    };
                }
                Answer::Done
            }
            Operation::Abandon(owner) => {
                if let Self::InFlight { claim, .. } = *self
                    && (claim.owner == owner || !keeps(Rule::AbandonChecksOwner))
                {
                    *self = Self::Abandoned { claim };
                }
                Answer::Done
            }
            Operation::Lapse => {
                if let Self::InFlight { lapsed, .. } = self {
                    *lapsed |= keeps(Rule::LeaseEnds);
                }
                Answer::Done
            }
        }
    }

    fn claim(
        &mut self,
        owner: Owner,
        request: Request,
        retry: bool,
        without: Option<Rule>,
    ) -> Answer {
        let keeps = |rule| without != Some(rule);
        let found = match *self {
            Self::Completed { record, .. } if keeps(Rule::RecordAnswers) => {
                return Answer::Completed(record);
            }
            Self::Absent | Self::Completed { .. } => {
                return self.acquire(Held {
                    owner,
                    request,
                    fence: 1,
                    attempt: 1,
                });
            }
            Self::InFlight { claim, .. } if claim.owner == owner && keeps(Rule::ClaimAgain) => {
                return Answer::Acquired {
                    fence: claim.fence,
                    attempt: claim.attempt,
                };
            }
            Self::InFlight {
                claim,
                lapsed: false,
            } if keeps(Rule::LiveLeaseHolds) => return Answer::Held(claim.request),
            Self::InFlight { claim, .. } | Self::Abandoned { claim } => claim,
        };
        let is_same = found.request == request || !keeps(Rule::TakeoverComparesRequests);
        let may_retry = retry || !keeps(Rule::RefuseRefuses);
        if !is_same || !may_retry {
            return Answer::Unknown(found.request);
        }
        self.acquire(Held {
            owner,
            request,
            fence: found.fence + u8::from(keeps(Rule::TakeoverRaisesFence)),
            attempt: found.attempt + u8::from(keeps(Rule::TakeoverRaisesAttempt)),
        })
    }

    const fn acquire(&mut self, claim: Held) -> Answer {
        *self = Self::in_flight(claim);
        Answer::Acquired {
            fence: claim.fence,
            attempt: claim.attempt,
        }
    }

    const fn in_flight(claim: Held) -> Self {
        Self::InFlight {
            claim,
            lapsed: false,
        }
    }
}
