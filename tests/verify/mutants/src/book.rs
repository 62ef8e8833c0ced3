use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    sync::Mutex,
};

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Noticed,
    Missed,
}

/// What became of each mutant, line after line, so that a pass goes on where it was stopped.
#[derive(Debug)]
pub(crate) struct Book {
    file: Mutex<File>,
    verdicts: Mutex<HashMap<String, Verdict>>,
    /// Of each file's source: what was seen of another text says nothing.
    sources: HashMap<String, u64>,
}

impl Book {
    pub(crate) fn open(path: &Path, sources: HashMap<String, u64>) -> Result<Self> {
        let mut verdicts = HashMap::new();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            // Half a line is of a pass that was killed.
            let [verdict, source, name, _by] = line.split('\t').collect::<Vec<_>>()[..] else {
                continue;
            };
            let file = name.split(':').next().unwrap_or_default();
            if sources
                .get(file)
                .is_some_and(|now| format!("{now:016x}") == source)
            {
                let verdict = if verdict == "missed" {
                    Verdict::Missed
                } else {
                    Verdict::Noticed
                };
                verdicts.insert(name.to_owned(), verdict);
            }
        }
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self {
            file: Mutex::new(file),
            verdicts: Mutex::new(verdicts),
            sources,
        })
    }

    pub(crate) fn of(&self, name: &str) -> Option<Verdict> {
        self.verdicts.lock().unwrap().get(name).copied()
    }

    pub(crate) fn enter(&self, name: &str, verdict: Verdict, by: &str) -> Result<()> {
        let file = name.split(':').next().unwrap_or_default();
        let source = self.sources.get(file).copied().unwrap_or_default();
        let said = if verdict == Verdict::Missed {
            "missed"
        } else {
            "noticed"
        };
        self.file
            .lock()
            .unwrap()
            .write_all(format!("{said}\t{source:016x}\t{name}\t{by}\n").as_bytes())?;
        self.verdicts
            .lock()
            .unwrap()
            .insert(name.to_owned(), verdict);
        Ok(())
    }
}
