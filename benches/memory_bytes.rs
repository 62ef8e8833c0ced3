//! What each key takes in the store in memory: index, expiry and record included.
//!
//! ```sh
//! cargo bench --bench memory_bytes               # a million keys
//! cargo bench --bench memory_bytes -- --full     # five million
//! ```

#[path = "memory_store/keys.rs"]
mod keys;

use std::{env, fs};

use tower_idempotency::MemoryStore;

use self::keys::{DAY, RECORD, claim, keep, try_claim, unbounded_store};

fn main() {
    let is_full = env::args().any(|arg| arg == "--full");
    let keys = if is_full { 5_000_000 } else { 1_000_000 };
    println!(
        "bytes a key, {keys} keys  {:>9} {:>9}",
        "allocated", "resident"
    );
    let record = format!("record of {RECORD} B");
    let recorded = measure(&record, keys, |store, key| keep(store, key, DAY));
    let verdict = if recorded <= 560 { "met" } else { "MISSED" };
    println!("  at most 560: {verdict}");
    measure("in flight", keys, |store, key| {
        drop(try_claim(store, &claim(key, DAY)));
    });
    println!();
}

/// Prints and returns what each key takes that is made so.
fn measure(what: &str, keys: u64, make: impl Fn(&MemoryStore, u64)) -> u64 {
    let before = resident();
    let mut store = None;
    let counted = allocation_counter::measure(|| {
        let filled = store.insert(unbounded_store());
        (0..keys).for_each(|key| make(filled, key));
    });
    let allocated = counted.bytes_current.unsigned_abs() / keys;
    let resident = resident().saturating_sub(before) / keys;
    print!("{what:<24} {allocated:>9} {resident:>9}");
    resident.max(allocated)
}

/// Returns the bytes that the system has given the program, where it says so.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1);
    pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4096
}
