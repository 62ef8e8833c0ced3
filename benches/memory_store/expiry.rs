//! How long claims take, first with nothing to expire, then while a million keys do. Beside them
//! stands the longest time for which the machine itself kept a thread from running that did
//! nothing but look at the clock meanwhile.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use tower_idempotency::MemoryStore;

use crate::keys::{DAY, claim, keep, try_claim, unbounded_store};

const KEYS: u64 = 1_000_000;
const CLAIMS: u64 = 400_000;

pub(crate) fn print() {
    let store = unbounded_store();
    let lead = Duration::from_secs(8);
    let start = Instant::now();
    for key in 0..KEYS {
        keep(&store, key, lead.saturating_sub(start.elapsed()));
    }
    println!("claims of new keys, while {KEYS} keys are held, and while they expire");
    let quiet = Latencies::of(&store, KEYS);
    thread::sleep((lead + Duration::from_millis(100)).saturating_sub(start.elapsed()));
    let held = store.len();
    let expiring = Latencies::of(&store, 2 * KEYS);
    quiet.print("quiet");
    expiring.print("expiring");
    let claims = usize::try_from(CLAIMS).expect("few");
    println!(
        "{} of {KEYS} were removed meanwhile",
        held + claims - store.len()
    );

    let verdict = |is_met| if is_met { "met" } else { "MISSED" };
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds")]
    let ratio = expiring.at(999) as f64 / quiet.at(999) as f64;
    println!(
        "p99.9 expiring over quiet: {ratio:.1}  at most 10: {}",
        verdict(ratio <= 10.0)
    );
    let longest = expiring.at(1000) / 1000;
    println!(
        "longest pause: {longest} us  under 5000: {}",
        verdict(longest < 5000)
    );
}

struct Latencies {
    sorted: Vec<u128>,
    machine: Duration,
}

impl Latencies {
    fn of(store: &MemoryStore, first: u64) -> Self {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watching = scope.spawn(|| longest_gap(&is_over));
            let mut sorted: Vec<_> = (first..first + CLAIMS)
                .map(|key| {
                    let claim = claim(key, DAY);
                    let start = Instant::now();
                    black_box(try_claim(store, &claim));
                    start.elapsed().as_nanos()
                })
                .collect();
            is_over.store(true, Ordering::Relaxed);
            sorted.sort_unstable();
            let machine = watching.join().expect("no panic");
            Self { sorted, machine }
        })
    }

    fn at(&self, thousandths: usize) -> u128 {
        self.sorted[(self.sorted.len() - 1) * thousandths / 1000]
    }

    fn print(&self, label: &str) {
        println!(
            "{label:>9}: p50 {} ns, p99 {} ns, p99.9 {} ns, longest {} us; the machine's longest {} us",
            self.at(500),
            self.at(990),
            self.at(999),
            self.at(1000) / 1000,
            self.machine.as_micros(),
        );
    }
}

fn longest_gap(is_over: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}
