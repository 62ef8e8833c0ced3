use std::{fs, path::Path};

use serde::Deserialize;

/// One run of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The place of its process in the evidence.
    pub(crate) process: usize,
    pub(crate) key: String,
    pub(crate) fence: u64,
    pub(crate) start: u64,
    /// None where the process did not live to see it.
    pub(crate) end: Option<u64>,
}

/// A line of a ledger.
#[derive(Deserialize)]
struct Line {
    downstream_key: String,
    fence: u64,
    event: String,
    ms: u64,
}

impl Run {
    /// Reads all runs of one process from its ledger.
    pub(super) fn of_ledger(process: usize, ledger: &Path) -> Vec<Self> {
        // A process that was killed before it opened the file has none.
        let text = fs::read_to_string(ledger).unwrap_or_default();
        let mut runs = Vec::<Self>::new();
        for line in text.lines() {
            let Line {
                downstream_key: key,
                fence,
                event,
                ms,
            } = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if event == "start" {
                runs.push(Self {
                    process,
                    key,
                    fence,
                    start: ms,
                    end: None,
                });
                continue;
            }
            let mut begun = runs.iter_mut().rev();
            let begun = begun.find(|run| run.end.is_none() && run.fence == fence && run.key == key);
            begun.expect("what ends has started").end = Some(ms);
        }
        runs
    }
}
