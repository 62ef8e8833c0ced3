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
        // Where a page ends, a kill cuts a write in two: a handler whose start is half there never ran.
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
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

#[test]
fn half_a_line_at_the_end_of_a_ledger_is_of_a_handler_that_never_ran() {
    let line = r#"{"attempt":1,"downstream_key":"key","event":"start","fence":1,"ms":1}"#;
    let file = std::env::temp_dir().join(format!("half-a-line-{}", std::process::id()));
    fs::write(&file, format!("{line}\n{}", &line[..40])).unwrap();
    let runs = Run::of_ledger(0, &file);
    fs::remove_file(file).unwrap();
    assert_eq!(runs.len(), 1);
}
