use std::fmt;

use super::{
    operation::Operation,
    subject::{Answer, Owner},
};
use crate::{
    Fingerprint, UnknownOutcome,
    store::{Completion, Renewal},
};

/// What stands under a name, as the contract knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    InFlight {
        whose: Whose,
        condition: Condition,
        fence: u32,
    },
    Completed(Whose),
}

/// Whose a claim or record is, seen from the owner that operates on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Mine,
    Anothers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Live,
    Lapsed,
    Abandoned,
    /// A lapsed claim that was claimed again by its owner: the contract does not say whether that
    /// moves the deadline.
    Resent,
}

/// Who plays a row of the table.
pub(super) struct Cast {
    pub(super) mine: Owner,
    pub(super) another: Owner,
    /// The fingerprint under which the name is claimed first.
    pub(super) fingerprint: Fingerprint,
}

impl Cast {
    pub(super) const fn owner(&self, whose: Whose) -> &Owner {
        match whose {
            Whose::Mine => &self.mine,
            Whose::Anothers => &self.another,
        }
    }
}

/// What the contract demands of an operation: one of these answers, and this state.
pub(super) type Demand = (Vec<Answer>, State);

use Condition::{Abandoned, Lapsed, Live, Resent};
use State::{Absent, Completed, InFlight};
use Whose::{Anothers, Mine};

impl State {
    /// Returns every state, or those that a store without durable claims has.
    pub(super) fn all(durable_claims: bool) -> Vec<Self> {
        let mut states = vec![Absent, Completed(Mine), Completed(Anothers)];
        for whose in [Mine, Anothers] {
            states.push(InFlight {
                whose,
                condition: Live,
                fence: 1,
            });
            if durable_claims {
                states.push(InFlight {
                    whose,
                    condition: Live,
                    fence: 2,
                });
                for (condition, fence) in [(Lapsed, 1), (Lapsed, 2), (Abandoned, 1), (Abandoned, 2)]
                {
                    states.push(InFlight {
                        whose,
                        condition,
                        fence,
                    });
                }
            }
        }
        states
    }

    /// Applies an operation to what a store with durable claims holds.
    pub(super) fn apply(self, operation: Operation, cast: &Cast) -> Demand {
        match operation {
            Operation::Claim {
                same_fingerprint,
                policy,
            } => self.claim(same_fingerprint && policy == UnknownOutcome::Retry, cast),
            Operation::Renew => self.renew(),
            Operation::Complete => self.complete(),
            Operation::Release => match self {
                InFlight {
                    whose: Mine,
                    condition: Live | Lapsed | Resent,
                    fence: 1,
                } => (vec![Answer::Done], Absent),
                _ => self.apply(Operation::Abandon, cast),
            },
            Operation::Abandon => match self {
                InFlight {
                    whose: Mine, fence, ..
                } => (
                    vec![Answer::Done],
                    InFlight {
                        whose: Mine,
                        condition: Abandoned,
                        fence,
                    },
                ),
                _ => (vec![Answer::Done], self),
            },
        }
    }

    /// Applies an operation to what a store holds whose claims are transactions.
    pub(super) fn apply_transactional(self, operation: Operation, cast: &Cast) -> Demand {
        let not_kept = || {
            [Completion::Superseded, Completion::Undone]
                .map(Answer::Completion)
                .into()
        };
        match (operation, self) {
            (
                Operation::Complete,
                Absent
                | InFlight {
                    whose: Anothers, ..
                },
            ) => (not_kept(), self),
            (Operation::Release | Operation::Abandon, InFlight { whose: Mine, .. }) => {
                (vec![Answer::Done], Absent)
            }
            _ => self.apply(operation, cast),
        }
    }

    fn claim(self, may_take_over: bool, cast: &Cast) -> Demand {
        match self {
            Absent => {
                let acquired = InFlight {
                    whose: Mine,
                    condition: Live,
                    fence: 1,
                };
                (vec![Answer::acquired(1)], acquired)
            }
            InFlight {
                whose: Mine,
                condition: Lapsed,
                fence,
            } => (
                vec![Answer::acquired(fence)],
                InFlight {
                    whose: Mine,
                    condition: Resent,
                    fence,
                },
            ),
            InFlight {
                whose: Mine,
                condition: Live | Resent,
                fence,
            } => (vec![Answer::acquired(fence)], self),
            InFlight {
                condition: Live | Resent,
                ..
            } => (vec![Answer::held()], self),
            InFlight { fence, .. } if may_take_over => {
                let acquired = InFlight {
                    whose: Mine,
                    condition: Live,
                    fence: fence + 1,
                };
                (vec![Answer::acquired(fence + 1)], acquired)
            }
            InFlight { .. } => (vec![Answer::Unknown(cast.fingerprint)], self),
            Completed(whose) => (
                vec![Answer::Completed(cast.owner(whose).record.clone())],
                self,
            ),
        }
    }

    fn renew(self) -> Demand {
        match self {
            InFlight {
                whose: Mine,
                condition: Live | Lapsed | Resent,
                fence,
            } => (
                vec![Answer::Renewal(Renewal::Renewed)],
                InFlight {
                    whose: Mine,
                    condition: Live,
                    fence,
                },
            ),
            _ => (vec![Answer::Renewal(Renewal::Lost)], self),
        }
    }

    fn complete(self) -> Demand {
        let kept = vec![Answer::Completion(Completion::Kept)];
        let superseded = vec![Answer::Completion(Completion::Superseded)];
        match self {
            Absent
            | Completed(Mine)
            | InFlight {
                whose: Mine,
                condition: Live | Lapsed | Resent,
                ..
            } => (kept, Completed(Mine)),
            InFlight { .. } | Completed(Anothers) => (superseded, self),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = |whose| {
            if whose == Mine {
                "the same owner"
            } else {
                "another owner"
            }
        };
        match *self {
            Absent => f.write_str("absent"),
            // Nobody can tell whose an abandoned claim was.
            InFlight {
                condition: Abandoned,
                fence,
                ..
            } => write!(f, "abandoned, fence {fence}"),
            InFlight {
                whose: owner,
                condition,
                fence,
            } => {
                let lapsed = if condition == Lapsed {
                    "lapsed"
                } else {
                    "live"
                };
                write!(f, "in flight by {}, {lapsed}, fence {fence}", whose(owner))
            }
            Completed(owner) => write!(f, "completed by {}", whose(owner)),
        }
    }
}
