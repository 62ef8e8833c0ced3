//! A seed repeats every step, and what is wrong is found.

use seeds::{Fault, play_with};

#[test]
fn the_same_seed_does_the_same_twice() {
    for seed in 0..5 {
        let first = seeds::play(seed);
        assert!(first.events > 100, "{first:?}");
        assert_eq!(first, seeds::play(seed), "seed {seed}");
    }
}

#[test]
fn another_seed_does_something_else() {
    assert_ne!(seeds::play(1).trace, seeds::play(2).trace);
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
