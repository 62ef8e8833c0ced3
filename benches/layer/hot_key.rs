//! Contention: many callers replay one key, or each another, on two cores.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::common::{
    figure::Figure,
    rounds::median,
    router,
    variant::{Key, Variant, layer},
};

const ROUNDS: usize = 15;
const REQUESTS: u32 = 20_000;
const KEYS: u64 = 10_000;

pub(crate) fn print() {
    println!(
        "{:<16} {:>10} {:>10} {:>8}",
        "replays/s", "many keys", "one key", "ratio"
    );
    let replaying = |key| Variant::charge("replay", router::charging().layer(layer()), key);
    let (many, one) = (replaying(Key::OneOf(KEYS)), replaying(Key::Same));
    // So that all that follows are replays.
    rate(&many, 1, 1, u32::try_from(KEYS).expect("few"));
    rate(&one, 1, 1, 1);
    for callers in [1, 8, 64] {
        let rounds = (0..ROUNDS).map(|_| {
            let many = rate(&many, 2, callers, REQUESTS);
            (many, rate(&one, 2, callers, REQUESTS))
        });
        let rounds: Vec<_> = rounds.collect();
        let ratio = median(rounds.iter().map(|(many, one)| one / many));
        let ratio = match callers {
            64 => Figure::at_least(ratio, 0.5),
            _ => Figure::unbounded(ratio),
        };
        println!(
            "{:<16} {:>10.0} {:>10.0} {ratio}",
            format!("{callers} callers"),
            median(rounds.iter().map(|(many, _)| *many)),
            median(rounds.iter().map(|(_, one)| *one)),
        );
    }
}

/// Returns how many requests a second a runtime of so many workers answers to so many callers, each
/// of which sends one after the other.
pub(crate) fn rate(variant: &Variant, workers: usize, callers: u32, requests: u32) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a runtime");
    let start = Instant::now();
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for _ in 0..callers {
            let variant = variant.clone();
            all.spawn(async move {
                for sent in 0..requests / callers {
                    variant.send(variant.request()).await;
                    // Every so often, as a connection does that waits for its client.
                    if sent % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        all.join_all().await;
    });
    f64::from(requests / callers * callers) / start.elapsed().as_secs_f64()
}
