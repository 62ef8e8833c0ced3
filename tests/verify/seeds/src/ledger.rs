use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tower_idempotency::IdempotencyContext;

/// What happened, as nobody in the simulation can see it: every run, every answer, every record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// A digest of all that happened, in order, with its moment.
    trace: DefaultHasher,
    pub(crate) events: usize,
    pub(crate) runs: Vec<Run>,
    /// The body that was recorded for each key.
    pub(crate) recorded: Vec<(usize, String)>,
    pub(crate) replays: usize,
    pub(crate) violations: Vec<String>,
    pub(crate) refuses: bool,
    /// The store has lost its memory.
    pub(crate) lost: bool,
}

#[derive(Debug)]
pub(crate) struct Run {
    key: usize,
    fence: u64,
    context: IdempotencyContext,
    state: RunState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    UnderWay,
    Final,
    Nothing,
    Unknown,
    /// Its server died under it.
    Died,
}

impl Ledger {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("never poisoned")
    }

    /// Notes that a handler starts, and looks at what else runs.
    pub(crate) fn starts(&self, key: usize, context: &IdempotencyContext) -> RunGuard {
        let mut book = self.book();
        let fence = context.fence().expect("the layer fails closed");
        book.note(format!(
            "run of {key} starts, fence {fence}, attempt {}",
            context.attempt()
        ));
        if !book.lost {
            book.look_at_start(key, fence, context.attempt());
        }
        book.runs.push(Run {
            key,
            fence,
            context: context.clone(),
            state: RunState::UnderWay,
        });
        RunGuard {
            ledger: self.clone(),
            index: book.runs.len() - 1,
        }
    }
}

impl Book {
    fn look_at_start(&mut self, key: usize, fence: u64, attempt: u32) {
        let mut found = Vec::new();
        if self.recorded.iter().any(|(recorded, _)| *recorded == key) {
            found.push("a run starts after a record");
        }
        let others = self.runs.iter().filter(|run| run.key == key);
        for other in others {
            let may_have_done = other.state != RunState::Nothing;
            if self.refuses && may_have_done {
                found.push("under Refuse, a run is repeated");
            }
            if may_have_done && attempt == 1 {
                found.push("a run after one whose outcome is unknown looks like the first");
            }
            if other.state == RunState::UnderWay {
                if !other.context.lease_lost().is_cancelled() {
                    found.push("another runs, and was not told that its lease is lost");
                }
                if other.fence == fence {
                    found.push("two runs that overlap have one fence");
                }
            }
        }
        for what in found {
            self.violate(format!("{what}: key {key}"));
        }
    }

    /// Notes that the store keeps a record.
    pub(crate) fn records(&mut self, key: usize, body: &str) {
        self.note(format!("{body} is recorded for {key}"));
        let before = self.recorded.iter().find(|(recorded, _)| *recorded == key);
        match before {
            Some((_, before)) if before != body && !self.lost => {
                self.violate(format!("{body} is recorded over {before}"));
            }
            Some(_) => {}
            None => self.recorded.push((key, body.to_owned())),
        }
    }

    /// Notes what a client was told.
    pub(crate) fn answers(&mut self, key: usize, status: u16, replayed: bool, body: &str) {
        self.note(format!("client of {key}: {status} {replayed} {body}"));
        if !replayed {
            return;
        }
        self.replays += 1;
        let is_recorded = self
            .recorded
            .iter()
            .any(|(recorded, recorded_body)| *recorded == key && recorded_body == body);
        if !is_recorded && !self.lost {
            self.violate(format!(
                "{body} is replayed for {key}, and was not recorded"
            ));
        }
    }

    pub(crate) fn note(&mut self, event: impl fmt::Display) {
        self.events += 1;
        let moment = turmoil::sim_elapsed().unwrap_or_default();
        let line = format!("{moment:?} {event}");
        if std::env::var_os("SEEDS_TRACE").is_some() {
            println!("{line}");
        }
        line.hash(&mut self.trace);
    }

    pub(crate) fn violate(&mut self, violation: String) {
        self.note(&violation);
        let moment: Duration = turmoil::sim_elapsed().unwrap_or_default();
        self.violations
            .push(format!("{violation}, after {moment:?}"));
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }
}

/// A run under way; dropped before its end, it died with its server.
#[derive(Debug)]
pub(crate) struct RunGuard {
    ledger: Ledger,
    index: usize,
}

impl RunGuard {
    pub(crate) fn ends(&self, state: RunState) {
        let mut book = self.ledger.book();
        let index = self.index;
        book.note(format!("run {index} ends: {state:?}"));
        book.runs[index].state = state;
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut book = self.ledger.book();
        if book.runs[self.index].state == RunState::UnderWay {
            book.runs[self.index].state = RunState::Died;
        }
    }
}
