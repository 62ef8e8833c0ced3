use table::{Answer, Operation, Owner};

/// One keyed request on its way, as far as the protocol sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    pub client: u8,
    pub phase: Phase,
    pub pending: Option<Pending>,
    /// By its own clock, it still has its lease.
    pub valid: bool,
    /// Its client left.
    pub alone: bool,
    pub run: Option<Run>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Claiming,
    Running,
    /// The handler has ended, and this is what becomes of the claim.
    Settling(Operation),
    Over,
}

/// An operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    pub operation: Operation,
    /// Set once the store has applied it.
    pub answer: Option<Answer>,
    /// A whole lease has passed since it was sent.
    pub late: bool,
}

/// A run of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub fence: u8,
    pub ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// With an answer to be recorded.
    Final,
    /// Nothing was done.
    Nothing,
    Unknown,
}

impl Exchange {
    pub const fn begin(client: u8, claim: Operation) -> Self {
        Self {
            client,
            phase: Phase::Claiming,
            pending: Some(Pending::new(claim)),
            valid: false,
            alone: false,
            run: None,
        }
    }

    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Says whether the store's lease may pass: by the exchange's own clock it has then passed
    /// already, whether it was made by what is under way or before.
    pub fn lease_may_pass(&self) -> bool {
        self.is_over()
            || !self.valid
                && self
                    .pending
                    .is_none_or(|pending| pending.late || !pending.makes_lease())
    }

    pub fn run_is_under_way(&self) -> bool {
        self.run.is_some_and(|run| run.ended.is_none()) && !self.is_over()
    }

    /// Says whether it ran, and something may have been done.
    pub fn may_have_done(&self) -> bool {
        self.run
            .is_some_and(|run| run.ended != Some(Ended::Nothing))
    }
}

impl Pending {
    pub const fn new(operation: Operation) -> Self {
        Self {
            operation,
            answer: None,
            late: false,
        }
    }

    pub const fn makes_lease(&self) -> bool {
        matches!(
            self.operation,
            Operation::Claim { .. } | Operation::Renew(_)
        )
    }
}

/// The record that an owner makes.
pub(crate) fn record_of(owner: Owner) -> u16 {
    u16::from(owner)
}
