use super::Violation;

/// What the oracle found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    /// Keys that ran again as they may: their owner was killed, stopped or cut off.
    pub(crate) repeated: usize,
    /// Runs that began late, under an outdated fence, in a process that had been stopped.
    pub(crate) late: usize,
    /// Doubles that a loss of the store's own explains.
    pub(crate) lost: usize,
    /// Answers that were shown while the store was away, and not saved before their process died.
    pub(crate) unsaved: usize,
}
