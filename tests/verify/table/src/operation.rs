/// Who claims: the number of an exchange.
pub type Owner = u8;

/// What is asked: two requests that differ have different numbers.
pub type Request = u8;

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    Claim {
        owner: Owner,
        request: Request,
        retry: bool,
    },
    Renew(Owner),
    /// An owner's record is known by a number.
    Complete(Owner, u16),
    Release(Owner),
    Abandon(Owner),
    /// Time passes the deadline of whatever is in flight.
    Lapse,
}

/// What a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Acquired { fence: u8, attempt: u8 },
    Held(Request),
    Unknown(Request),
    Completed(u16),
    Renewed,
    Lost,
    Kept,
    Superseded,
    Done,
}

impl Operation {
    /// Returns who asks: nobody, where time does.
    pub const fn owner(self) -> Option<Owner> {
        match self {
            Self::Claim { owner, .. }
            | Self::Renew(owner)
            | Self::Complete(owner, _)
            | Self::Release(owner)
            | Self::Abandon(owner) => Some(owner),
            Self::Lapse => None,
        }
    }
}
