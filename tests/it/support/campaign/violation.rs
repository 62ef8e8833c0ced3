use super::{Run, Shown};

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Under `Refuse`, a key started twice.
    StartedTwice(Run, Run),
    /// A key started again after a run whose answer was recorded.
    RanAgain(Run, Run),
    /// A key started again while the lease of the run before must have been alive.
    LeaseAlive(Run, Run),
    /// Two runs that could overlap had one fence.
    SharedFence(Run, Run),
    /// A later run had no later fence, though its process had not been stopped.
    OutdatedFence(Run, Run),
    /// Requests of a key were never answered.
    Unresolved(usize),
    /// Under `Retry`, a client heard that nobody knows the outcome; or something else that no
    /// client should get.
    Odd(usize, String),
    /// A key showed an answer, and then nobody knew its outcome.
    Forgotten(usize),
    /// A key showed two answers.
    TwoAnswers(usize, Shown, Shown),
    /// A key showed the answer of another key.
    Foreign(usize, usize, Shown),
    /// A client got an answer that no run gave.
    Invented(usize, Shown),
}
