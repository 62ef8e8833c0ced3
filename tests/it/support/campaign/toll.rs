use std::{fmt, time::Duration};

/// What was done to servers and store.
#[derive(Debug, Clone, Default)]
pub(super) struct Toll {
    pub(super) kills: usize,
    pub(super) stops: usize,
    /// How often keys moved between the servers of the store.
    pub(super) moves: usize,
    /// How often the store was away and kept all.
    pub(super) restarts: usize,
    /// How often the store lost something.
    pub(super) losses: usize,
    /// How long the store was away in all.
    pub(super) away: Duration,
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} killed, {} stopped, the store {} times moved, {} times away and {} times lost ({:.1?} in all)",
            self.kills, self.stops, self.moves, self.restarts, self.losses, self.away
        )
    }
}
