//! Bodies of four lengths, sent to a handler that looks at none of them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use sha2::{Digest, Sha256};

use crate::common::{
    figure::Figure,
    rounds::{Times, interleaved, send, single_threaded},
    router,
    variant::{Key, Variant, layer},
};

const LENGTHS: [(&str, usize); 4] = [
    ("0 B", 0),
    ("256 B", 256),
    ("64 KiB", 64 * 1024),
    ("1 MiB", 1024 * 1024),
];

pub(crate) fn print() {
    println!(
        "{:<8} {:>8} {:>9} {:>9} {:>9}   first request over",
        "", "bare ns", "no key", "first", "replay"
    );
    println!(
        "{:<8} {:>8} {:>9} {:>9} {:>9}   bare and one SHA-256",
        "body", "", "x bare", "x bare", "x bare"
    );
    for (name, length) in LENGTHS {
        let [bare, no_key, first, replay, hash] = times(length);
        let over_hash = first.over(&bare.plus(&hash));
        let over_hash = match name {
            "1 MiB" => Figure::at_most(over_hash, 1.10),
            _ => Figure::unbounded(over_hash),
        };
        println!(
            "{name:<8} {:>8.0} {:>9.2} {:>9.2} {:>9.2}   {over_hash}",
            bare.median() * 1e9,
            no_key.over(&bare),
            first.over(&bare),
            replay.over(&bare),
        );
    }
}

/// What takes its turn.
enum Subject {
    Router(Variant),
    Hash(Bytes),
}

fn times(length: usize) -> [Times; 5] {
    let bytes = Bytes::from(vec![b'x'; length]);
    let variant = |router, key| {
        // Shared, as hyper shares what it has read.
        let bytes = bytes.clone();
        Subject::Router(Variant::new("", router, key, move || {
            Body::from(bytes.clone())
        }))
    };
    let subjects = [
        variant(router::receiving(), Key::None),
        variant(router::receiving().layer(layer()), Key::None),
        variant(router::receiving().layer(layer()), Key::Fresh),
        variant(router::receiving().layer(layer()), Key::Same),
        Subject::Hash(bytes.clone()),
    ];
    let (rounds, requests) = if length < 1 << 16 {
        (200, 200)
    } else {
        (100, 10)
    };
    let runtime = single_threaded();
    let times = interleaved(rounds, &subjects, |subject| match subject {
        Subject::Router(variant) => send(&runtime, variant, requests),
        Subject::Hash(bytes) => hash(bytes, requests),
    });
    times.try_into().ok().expect("one for each")
}

fn hash(bytes: &Bytes, times: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(Sha256::digest(black_box(bytes)));
    }
    start.elapsed() / times
}
