use std::time::Duration;

/// How bytes pass through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// At once.
    Clear,
    /// So much later on their way to the client, in their order.
    Late(Duration),
    /// One by one on their way to the client, so long apart.
    Trickle(Duration),
    /// Not at all, though connections are open and new ones are made.
    BlackHole,
}
