use std::ops::Range;

use tower_idempotency::UnknownOutcome;

/// One life of a server.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) policy: UnknownOutcome,
    /// When it was killed.
    pub(crate) died: Option<u64>,
    /// When it stood still.
    pub(crate) stops: Vec<Range<u64>>,
}

impl Process {
    pub(crate) const fn new(policy: UnknownOutcome) -> Self {
        Self {
            policy,
            died: None,
            stops: Vec::new(),
        }
    }

    /// Returns when it first was killed or stopped from a moment on.
    pub(super) fn harmed_from(&self, moment: u64) -> Option<u64> {
        let stops = self.stops.iter().filter(|stop| stop.end > moment);
        let stopped = stops.map(|stop| stop.start.max(moment)).min();
        stopped.into_iter().chain(self.died).min()
    }
}
