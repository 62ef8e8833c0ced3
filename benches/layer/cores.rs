//! One core and two: requests a second on distinct keys, with as many callers as there are workers.

use crate::common::{figure::Figure, rounds::median, variant::charges};

use super::hot_key::rate;

const ROUNDS: usize = 15;
const REQUESTS: u32 = 20_000;

pub(crate) fn print() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{:<16} {:>10} {:>10} {:>8}   ({cores} cores are there)",
        "requests/s", "one core", "two cores", "ratio"
    );
    for variant in charges() {
        // Both in turn, so that what disturbs one disturbs the other.
        let rounds = (0..ROUNDS).map(|_| {
            let one = rate(&variant, 1, 1, REQUESTS);
            (one, rate(&variant, 2, 2, REQUESTS))
        });
        let rounds: Vec<_> = rounds.collect();
        let ratio = median(rounds.iter().map(|(one, two)| two / one));
        let ratio = match variant.name {
            "first request" => Figure::at_least(ratio, 1.7),
            _ => Figure::unbounded(ratio),
        };
        println!(
            "{:<16} {:>10.0} {:>10.0} {ratio}",
            variant.name,
            median(rounds.iter().map(|(one, _)| *one)),
            median(rounds.iter().map(|(_, two)| *two)),
        );
    }
}
