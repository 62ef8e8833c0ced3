//! The maps that could keep the claims: each operation as `MemoryStore` does it, with five million
//! keys held (or as many as `--keys` says), and what a key takes.
//!
//! A process for each map, since what one frees would be counted out of the next.

use std::{env, fs, hint::black_box, process::Command, thread, time::Instant};

use self::candidates::{CANDIDATES, Candidate};

mod candidates;

const CALLS: u64 = 400_000;

fn main() {
    let keys = value_of("--keys").map_or(5_000_000, |keys| keys.parse().expect("a number"));
    if let Some(name) = value_of("--map") {
        let (_, make) = CANDIDATES.iter().find(|it| it.0 == name).expect("a map");
        return measure(&name, make, keys);
    }
    println!("nanoseconds a call, all threads together; {keys} keys");
    println!(
        "{:<22} {:>22} {:>22} {:>8}",
        "", "one thread", "two threads", "bytes"
    );
    println!(
        "{:<22} {:>7} {:>7} {:>6} {:>8} {:>7} {:>6} {:>7}",
        "", "claim", "compl.", "replay", "claim", "compl.", "replay", "a key"
    );
    for (name, _) in CANDIDATES {
        let run = Command::new(env::current_exe().expect("a path"))
            .args(["--map", name, "--keys", &keys.to_string()])
            .status();
        assert!(run.expect("it starts").success(), "{name}");
    }
}

fn value_of(flag: &str) -> Option<String> {
    env::args().skip_while(|arg| arg != flag).nth(1)
}

fn measure(name: &str, make: &fn() -> Box<dyn Candidate>, keys: u64) {
    let before = resident();
    let map = make();
    for key in 0..keys {
        map.claim(mixed(key));
        map.complete(mixed(key));
    }
    let bytes = resident().saturating_sub(before) / keys;
    print!("{name:<22}");
    let mut fresh = keys;
    for threads in [1, 2] {
        let first = fresh;
        let claim = per_call(threads, |call| map.claim(mixed(first + call)));
        let complete = per_call(threads, |call| map.complete(mixed(first + call)));
        let replay = per_call(threads, |call| {
            black_box(map.replay(mixed(call * 12_347 % keys)));
        });
        print!(" {claim:>7.0} {complete:>7.0} {replay:>6.0} ");
        fresh += CALLS;
    }
    println!(" {bytes:>6}");
}

/// Names are digests: neighbours have nothing in common.
fn mixed(key: u64) -> [u8; 16] {
    let mix = |key: u64| {
        let key = (key ^ key >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (key ^ key >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    (u128::from(mix(key)) << 64 | u128::from(mix(!key))).to_le_bytes()
}

fn per_call(threads: u64, call: impl Fn(u64) + Sync) -> f64 {
    let each = CALLS / threads;
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let call = &call;
            scope.spawn(move || (thread * each..(thread + 1) * each).for_each(call));
        }
    });
    start.elapsed().as_secs_f64() * 1e9 / (each * threads) as f64
}

/// Returns the bytes that the system has given the program, where it says so.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1);
    pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4096
}
