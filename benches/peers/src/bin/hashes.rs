//! The hashes that a fingerprint could be made with: cryptographic ones, since whoever finds two
//! requests of one fingerprint gets one's answer to the other.

#[path = "../../../common/mod.rs"]
mod common;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use self::common::rounds::interleaved;

const LENGTHS: [(&str, usize); 6] = [
    ("0 B", 0),
    ("256 B", 256),
    ("1 KiB", 1 << 10),
    ("4 KiB", 1 << 12),
    ("64 KiB", 1 << 16),
    ("1 MiB", 1 << 20),
];

type Hash = fn(&[u8]);

fn main() {
    let sha256: Hash = |bytes| _ = black_box(Sha256::digest(bytes));
    let blake3: Hash = |bytes| _ = black_box(blake3::hash(bytes));
    println!(
        "{:<8} {:>12} {:>12} {:>18}",
        "ns", "SHA-256", "BLAKE3", "BLAKE3 : SHA-256"
    );
    for (name, length) in LENGTHS {
        let bytes = vec![b'x'; length];
        let calls = u32::try_from((1 << 20) / (length + 1024)).expect("few") + 1;
        let times = interleaved(60, &[sha256, blake3], |hash| time(*hash, &bytes, calls));
        println!(
            "{name:<8} {:>12.0} {:>12.0} {:>18.2}",
            times[0].median() * 1e9,
            times[1].median() * 1e9,
            times[1].over(&times[0]),
        );
    }
}

fn time(hash: Hash, bytes: &[u8], calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        hash(black_box(bytes));
    }
    start.elapsed() / calls
}
