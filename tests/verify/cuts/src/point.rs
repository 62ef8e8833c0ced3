/// Where a request can be when the lights go out, in the order in which it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Received,
    BeforeClaim,
    AfterClaim,
    /// The handler runs, and has done nothing yet.
    Started,
    BeforeRenew,
    AfterRenew,
    /// The handler has had its effect.
    Done,
    /// Half of the handler's answer was read.
    HalfAnswered,
    BeforeRelease,
    AfterRelease,
    BeforeAbandon,
    AfterAbandon,
    BeforeComplete,
    AfterComplete,
    /// The client has not got a byte.
    BeforeReply,
    /// The client has the head and some of the body.
    HalfReplied,
}

impl Point {
    pub(crate) const ALL: [Self; 16] = [
        Self::Received,
        Self::BeforeClaim,
        Self::AfterClaim,
        Self::Started,
        Self::BeforeRenew,
        Self::AfterRenew,
        Self::Done,
        Self::HalfAnswered,
        Self::BeforeRelease,
        Self::AfterRelease,
        Self::BeforeAbandon,
        Self::AfterAbandon,
        Self::BeforeComplete,
        Self::AfterComplete,
        Self::BeforeReply,
        Self::HalfReplied,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }

    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    /// What the handler answers the first request, so that it gets there.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::BeforeRelease | Self::AfterRelease => 503,
            Self::BeforeAbandon | Self::AfterAbandon => 500,
            _ => 201,
        }
    }

    /// Whether a handler that takes no time gets there.
    pub(crate) const fn takes_a_renewal(self) -> bool {
        matches!(self, Self::BeforeRenew | Self::AfterRenew)
    }

    /// Whether the store has the answer by then.
    pub(crate) fn is_recorded(self) -> bool {
        self >= Self::AfterComplete
    }
}
