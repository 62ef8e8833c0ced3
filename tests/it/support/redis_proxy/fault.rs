use std::time::Duration;

/// What is done to a command, or to its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the server gets the command.
    CutBefore,
    /// The connection breaks after the server has carried it out, before its answer.
    CutAfter,
    /// The connection breaks in the middle of the answer.
    CutWithin,
    /// The connection breaks, and only so much later does the server get the command: after what
    /// the client has sent since on another one.
    Reorder(Duration),
    /// The server gets the command twice, the second time so much later.
    Repeat(Duration),
    /// The answer is late, and so are all answers after it.
    Delay(Duration),
    /// The answer comes byte by byte, so long apart.
    Trickle(Duration),
    /// The answer never comes, nor does any after it; the connection stays open.
    Swallow,
    /// The server never gets the command; the client gets this error instead of an answer.
    Refuse(&'static str),
    /// The server carries the command out, and the client gets this error instead of the answer.
    Deny(&'static str),
    /// The answer changes places with the next.
    Swap,
    /// The answer is lost, and every caller after that gets the answer of the next.
    Lose,
}
