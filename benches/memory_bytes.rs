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
    println!("bytes a key, {keys} keys");
    let recorded = measure(keys, |store, key| keep(store, key, DAY));
    println!("with a record of {RECORD} B");
    print("  allocated", recorded.allocated);
    print("  resident", recorded.resident);
    let in_flight = measure(keys, |store, key| {
        drop(try_claim(store, &claim(key, DAY)));
    });
    // What is resident now was so before.
    println!("in flight");
    println!("  {:<12} {:>6}", "allocated", in_flight.allocated);
}

fn print(what: &str, bytes: u64) {
    let verdict = if bytes <= 560 { "met" } else { "MISSED" };
    println!("{what:<14} {bytes:>6}  at most 560: {verdict}");
}

struct Bytes {
    allocated: u64,
    resident: u64,
}

/// Returns what each key takes that is made so.
fn measure(keys: u64, make: impl Fn(&MemoryStore, u64)) -> Bytes {
    let before = resident();
    let mut store = None;
    let counted = allocation_counter::measure(|| {
        let filled = store.insert(unbounded_store());
        (0..keys).for_each(|key| make(filled, key));
    });
    Bytes {
        allocated: counted.bytes_current.unsigned_abs() / keys,
        resident: resident().saturating_sub(before) / keys,
    }
}

/// Returns the bytes that the system has given the program, where it says so.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1);
    pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4096
}
