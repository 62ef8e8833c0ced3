use std::fmt;

use crate::UnknownOutcome;

/// An operation by the owner called mine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Claim {
        same_fingerprint: bool,
        policy: UnknownOutcome,
    },
    Renew,
    Complete,
    Release,
    Abandon,
}

impl Operation {
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Renew, Self::Complete, Self::Release, Self::Abandon];
        for same_fingerprint in [true, false] {
            for policy in [UnknownOutcome::Retry, UnknownOutcome::Refuse] {
                all.push(Self::Claim {
                    same_fingerprint,
                    policy,
                });
            }
        }
        all
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim {
                same_fingerprint,
                policy,
            } => {
                let which = if *same_fingerprint { "same" } else { "another" };
                write!(f, "claim ({which} fingerprint, {policy:?})")
            }
            Self::Renew => f.write_str("renew"),
            Self::Complete => f.write_str("complete"),
            Self::Release => f.write_str("release"),
            Self::Abandon => f.write_str("abandon"),
        }
    }
}
