//! A seed repeats every step, and what is wrong is found.

use std::process::Command;

use seeds::{Fault, Outcome, play_with};

fn play(seed: u64) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_seeds"))
        .args(["--seed", &seed.to_string()])
        .output()
        .unwrap();
    String::from_utf8(program.stdout).unwrap()
}

#[test]
fn the_same_seed_does_the_same_twice() {
    for seed in 0..5 {
        let first = play(seed);
        let outcome: Outcome = first.parse().unwrap();
        assert!(outcome.events > 100, "{outcome:?}");
        assert_eq!(first, play(seed), "seed {seed}");
    }
}

#[test]
fn another_seed_does_something_else() {
    assert_ne!(play(1), play(2));
}

#[test]
fn stores_that_are_wrong_are_found() {
    for fault in [
        Fault::RenewsInVain,
        Fault::ClaimsUnasked,
        Fault::ReleasesTheUnknown,
    ] {
        let found = (0..30).any(|seed| !play_with(seed, fault).violations.is_empty());
        assert!(found, "{fault:?}");
    }
}
