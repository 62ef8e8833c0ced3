use std::{collections::HashMap, ops::Range};

use super::{Process, Run, Sighting};

/// What was seen of a campaign. Moments are milliseconds of Unix time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// How long a claim lasts that nobody renews, in milliseconds.
    pub(crate) lease: u64,
    /// Whether a claim goes with the connection of its process, as where it is a transaction.
    pub(crate) claims_die: bool,
    pub(crate) processes: Vec<Process>,
    pub(crate) runs: Vec<Run>,
    pub(crate) keys: Vec<Sighting>,
    /// When the store did not answer, or not in time.
    pub(crate) outages: Vec<Range<u64>>,
    /// When the machine had no time for anybody.
    pub(crate) stalls: Vec<Range<u64>>,
    /// When a server of the store was being lost with what it alone had acknowledged.
    pub(crate) losses: Vec<Range<u64>>,
}

impl Evidence {
    /// Returns when no process could renew a lease or save an answer in time.
    pub(super) fn waits(&self) -> impl Iterator<Item = &Range<u64>> + Clone {
        self.outages.iter().chain(&self.stalls)
    }

    /// Returns the runs of each key, in the order in which they started.
    pub(super) fn runs_by_key(&self) -> HashMap<&str, Vec<&Run>> {
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for run in &self.runs {
            by_key.entry(run.key.as_str()).or_default().push(run);
        }
        for runs in by_key.values_mut() {
            runs.sort_by_key(|run| run.start);
        }
        by_key
    }
}
