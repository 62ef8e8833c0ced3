//! Plays seeds for some seconds, or one seed.

use std::time::{Duration, Instant};

use lexopt::prelude::*;

fn main() -> Result<(), lexopt::Error> {
    let (mut seconds, mut seed, mut only) = (60, fastrand::u64(..), false);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => seconds = args.value()?.parse()?,
            Long("from") => seed = args.value()?.parse()?,
            Long("seed") => (seed, only) = (args.value()?.parse()?, true),
            _ => return Err(arg.unexpected()),
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut seeds, mut runs, mut replays, mut faults) = (0, 0, 0, 0);
    while seeds == 0 || Instant::now() < end && !only {
        let outcome = seeds::play(seed);
        // One in ten is played twice, to see that seeds repeat.
        let again = (seeds % 10 == 0).then(|| seeds::play(seed));
        if again.is_some_and(|again| again != outcome) {
            println!("seeds: the seed {seed} does not repeat");
            std::process::exit(1);
        }
        if !outcome.violations.is_empty() {
            println!("seeds: {:#?}\n  again: --seed {seed}", outcome.violations);
            std::process::exit(1);
        }
        seeds += 1;
        seed = seed.wrapping_add(1);
        runs += outcome.runs;
        replays += outcome.replays;
        faults += outcome.faults;
    }
    println!(
        "seeds: {seeds} seeds, {faults} faults, {runs} runs, {replays} replays, nothing found"
    );
    Ok(())
}
