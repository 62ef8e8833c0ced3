use std::{
    ops::Range,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::now;

/// Notes when the machine had no time for anybody: leases lapse then that nobody meant to.
#[derive(Debug)]
pub(super) struct Stalls(Arc<Mutex<Vec<Range<u64>>>>);

/// How often time is looked at.
const LOOK_EVERY: u64 = 10;

impl Stalls {
    /// Looks from now on until the value is dropped, for stalls at least so long.
    pub(super) fn watch(least: Duration) -> Self {
        let least = u64::try_from(least.as_millis()).expect("a short time");
        let stalls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::downgrade(&stalls);
        thread::spawn(move || {
            let mut before = now();
            while let Some(stalls) = seen.upgrade() {
                thread::sleep(Duration::from_millis(LOOK_EVERY));
                let after = now();
                if after - before >= least + LOOK_EVERY {
                    stalls.lock().unwrap().push(before..after);
                }
                before = after;
            }
        });
        Self(stalls)
    }

    pub(super) fn seen(&self) -> Vec<Range<u64>> {
        self.0.lock().unwrap().clone()
    }
}
