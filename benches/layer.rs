//! How long a request takes with the layer, beside the same router without it.
//!
//! cargo bench --bench layer [-- VARIANT]
//!
//! All variants run in one process, interleaved round by round; each figure is the median of the
//! ratios to the bare router of the same round. Only ratios can be compared between machines.
//! With the name of a variant it runs alone, for a profiler.

mod common;

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use self::common::{Variant, variants};

const ROUNDS: usize = 300;
const REQUESTS_A_ROUND: u32 = 200;

fn main() {
    warm_heap();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let only = std::env::args()
        .nth(1)
        .filter(|argument| argument != "--bench");
    let variants: Vec<_> = variants()
        .into_iter()
        .filter(|variant| only.as_ref().is_none_or(|only| variant.name == only))
        .collect();
    assert!(
        !variants.is_empty(),
        "no variant is called {}",
        only.unwrap_or_default()
    );

    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter().zip(&mut times) {
            times.push(round(variant, &runtime).as_secs_f64());
        }
    }

    println!("{:<16} {:>8} {:>8}", "", "x bare", "ns");
    for (variant, time) in variants.iter().zip(&times) {
        let ratios = time.iter().zip(&times[0]).map(|(own, bare)| own / bare);
        let nanos = time
            .iter()
            .map(|time| time * 1e9 / f64::from(REQUESTS_A_ROUND));
        println!(
            "{:<16} {:>8.2} {:>8.0}",
            variant.name,
            median(ratios),
            median(nanos)
        );
    }
}

/// Has the allocator keep memory that the system has already given, as it does in a server that has
/// run for a while: otherwise every record pays for fresh pages.
fn warm_heap() {
    // glibc returns the first chunk, raises its threshold by that, and keeps the second.
    for _ in 0..2 {
        std::hint::black_box(vec![1_u8; 31 * 1024 * 1024]);
    }
}

/// Times requests, each made just before it is sent, as a server reads one after the other.
fn round(variant: &Variant, runtime: &Runtime) -> Duration {
    runtime.block_on(async {
        let mut time = Duration::ZERO;
        for _ in 0..REQUESTS_A_ROUND {
            let request = variant.request();
            let start = Instant::now();
            variant.send(request).await;
            time += start.elapsed();
        }
        time
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
