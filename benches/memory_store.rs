//! What the store in memory costs: time for each operation, memory for each key, and how long a
//! claim takes while a million keys expire.
//!
//! ```sh
//! cargo bench --bench memory_store               # up to a million keys
//! cargo bench --bench memory_store -- --full     # five million, which takes 3 GiB
//! ```
//!
//! One thread; keys are visited in random order, so that at a million keys most visits miss the
//! processor's caches, as they do in a server.

use std::{
    alloc::System,
    future::Future,
    hint::black_box,
    pin::pin,
    process::Command,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tower_idempotency::{
    Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Claim, Effects, OwnerToken},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Short, so that keys which expire do so while they are watched.
const LEASE: Duration = Duration::from_secs(1);
/// The length of the record of a JSON response of 300 bytes.
const RECORD: usize = 423;

fn main() {
    let args: Vec<_> = std::env::args().collect();
    // A process for each size: what an earlier one freed would be counted out of the next.
    if let Some(keys) = args.iter().skip_while(|arg| *arg != "--keys").nth(1) {
        return operations(keys.parse().expect("--keys takes a number"));
    }
    println!(
        "{:>9}  {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}   {:>7} {:>7}",
        "keys", "claim", "compl.", "replay", "held", "renew", "releas", "B alloc", "B RSS"
    );
    let is_full = args.iter().any(|arg| arg == "--full");
    for keys in ["1000", "1000000", "5000000"]
        .into_iter()
        .take(if is_full { 3 } else { 2 })
    {
        Command::new(&args[0])
            .args(["--keys", keys])
            .status()
            .expect("this program runs again");
    }
    expiry();
}

/// Prints nanoseconds for each operation and bytes for each key, with so many keys held.
fn operations(keys: u64) {
    let before = (allocated(), resident());
    let store = MemoryStore::builder().max_bytes(usize::MAX).build();
    (0..keys).for_each(|key| keep(&store, key, DAY));
    let (heap, rss) = (allocated() - before.0, resident().saturating_sub(before.1));

    let some = |key| keys + key;
    let mut claims = Vec::new();
    let claim = per_call(|key| {
        let claim = claim(some(key), DAY);
        now(store.claim(&claim, &fingerprint(), UnknownOutcome::Retry)).unwrap();
        claims.push(claim);
    });
    let held = per_call(|key| {
        let other = self::claim(some(key), DAY);
        black_box(now(store.claim(&other, &fingerprint(), UnknownOutcome::Retry)).unwrap());
    });
    let renew = per_call(|key| {
        black_box(now(store.renew(&claims[index(key)])).unwrap());
    });
    let records: Vec<_> = (0..CALLS).map(|_| Bytes::from(vec![7; RECORD])).collect();
    let complete = per_call(|key| {
        let record = records[index(key)].clone();
        black_box(now(store.complete(&claims[index(key)], record, Effects::Keep)).unwrap());
    });
    let replay = per_call(|key| {
        let replayed = self::claim(mixed(key) % keys, DAY);
        black_box(now(store.claim(&replayed, &fingerprint(), UnknownOutcome::Retry)).unwrap());
    });
    let fresh: Vec<_> = (0..CALLS)
        .map(|key| self::claim(some(CALLS + key), DAY))
        .collect();
    for claim in &fresh {
        now(store.claim(claim, &fingerprint(), UnknownOutcome::Retry)).unwrap();
    }
    let release = per_call(|key| now(store.release(&fresh[index(key)])).unwrap());

    println!(
        "{keys:>9}  {claim:>6} {complete:>6} {replay:>6} {held:>6} {renew:>6} {release:>6}   {:>7} {:>7}",
        heap / keys,
        rss / keys,
    );
}

/// Prints how long claims take, first with nothing to expire, then while a million keys do.
fn expiry() {
    const KEYS: u64 = 1_000_000;
    let store = MemoryStore::new();
    let lead = Duration::from_secs(8);
    let start = Instant::now();
    for key in 0..KEYS {
        keep(&store, key, lead.saturating_sub(start.elapsed()));
    }
    println!("\nclaims of new keys, while {} are held", store.len());
    latencies(&store, "quiet", KEYS);
    thread::sleep((lead + Duration::from_millis(100)).saturating_sub(start.elapsed()));
    let (held, bytes) = (store.len(), allocated());
    latencies(&store, "expiring", 2 * KEYS);
    println!(
        "{} of them were removed meanwhile, {} MB freed",
        held + index(CLAIMS) - store.len(),
        bytes.saturating_sub(allocated()) / 1_000_000
    );
}

const CLAIMS: u64 = 400_000;

fn latencies(store: &MemoryStore, label: &str, first: u64) {
    let mut times: Vec<_> = (first..first + CLAIMS)
        .map(|key| {
            let claim = claim(key, DAY);
            let start = Instant::now();
            black_box(now(store.claim(&claim, &fingerprint(), UnknownOutcome::Retry)).unwrap());
            start.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!(
        "{label:>9}: p50 {} ns, p99 {} ns, p99.9 {} ns, longest {} us",
        at(500),
        at(990),
        at(999),
        at(1000) / 1000
    );
}

const CALLS: u64 = 200_000;

/// Returns the nanoseconds that one call takes.
fn per_call(mut call: impl FnMut(u64)) -> u128 {
    let start = Instant::now();
    (0..CALLS).for_each(&mut call);
    start.elapsed().as_nanos() / u128::from(CALLS)
}

fn keep(store: &MemoryStore, key: u64, ttl: Duration) {
    let claim = claim(key, ttl);
    now(store.claim(&claim, &fingerprint(), UnknownOutcome::Retry)).unwrap();
    now(store.complete(&claim, vec![7; RECORD].into(), Effects::Keep)).unwrap();
}

fn claim(key: u64, ttl: Duration) -> Claim {
    let mut name = [0; RecordName::LEN];
    name[..8].copy_from_slice(&mixed(key).to_le_bytes());
    let owner = OwnerToken::from_bytes((u128::from(mixed(!key)) << 64).to_le_bytes());
    Claim::new(RecordName::from_bytes(name), owner, LEASE, ttl)
}

/// Names are digests: neighbours have nothing in common.
fn mixed(key: u64) -> u64 {
    let key = (key ^ key >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (key ^ key >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn fingerprint() -> Fingerprint {
    Fingerprint::from_bytes([1; Fingerprint::LEN])
}

fn index(key: u64) -> usize {
    usize::try_from(key).expect("keys fit in memory")
}

/// Returns what a future answers at its first poll, which is when this store answers.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}

/// Returns the bytes that the program asked for and holds.
fn allocated() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

/// Returns the bytes that the system has given the program, where it says so.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * 4096
}
