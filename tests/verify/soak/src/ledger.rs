use std::{
    collections::HashMap,
    fmt,
    ops::AddAssign,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What handlers did, by key, for as long as a client asks; and what became of it all.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    runs: HashMap<String, u32>,
    totals: Totals,
    lost: Option<String>,
}

/// What happened, counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) hang_ups: u64,
    pub(crate) keys: u64,
    pub(crate) faults: u64,
    pub(crate) drains: u64,
}

impl Ledger {
    pub(crate) fn ran(&self, key: &str) -> u32 {
        let mut inner = self.lock();
        let runs = inner.runs.entry(key.to_owned()).or_default();
        *runs += 1;
        *runs
    }

    /// Forgets a key, and returns how often it was run.
    pub(crate) fn settle(&self, key: &str) -> u32 {
        self.lock().runs.remove(key).unwrap_or(0)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Totals)) {
        count(&mut self.lock().totals);
    }

    pub(crate) fn lose(&self, what: String) {
        self.lock().lost.get_or_insert(what);
    }

    pub(crate) fn lost(&self) -> Option<String> {
        self.lock().lost.clone()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.lock().totals
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.hang_ups += other.hang_ups;
        self.keys += other.keys;
        self.faults += other.faults;
        self.drains += other.drains;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests for {} keys, {} hang-ups, {} faults, {} servers drained",
            self.requests, self.keys, self.hang_ups, self.faults, self.drains
        )
    }
}
