//! Stands in for `rand` where a run must be repeatable: the crate's own source is built against it.

use std::{cell::RefCell, ops::RangeInclusive};

use fastrand::Rng;

thread_local! {
    static RNG: RefCell<Rng> = RefCell::new(Rng::with_seed(0));
}

/// Starts the numbers of this thread anew.
pub fn seed(seed: u64) {
    RNG.set(Rng::with_seed(seed));
}

/// Returns the numbers of this thread.
pub const fn rng() -> Numbers {
    Numbers
}

#[derive(Debug)]
pub struct Numbers;

pub trait RngExt {
    fn random<const N: usize>(&mut self) -> [u8; N];
    fn random_range(&mut self, range: RangeInclusive<f64>) -> f64;
}

impl RngExt for Numbers {
    fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        RNG.with_borrow_mut(|rng| rng.fill(&mut bytes));
        bytes
    }

    fn random_range(&mut self, range: RangeInclusive<f64>) -> f64 {
        let (low, high) = range.into_inner();
        low + (high - low) * RNG.with_borrow_mut(Rng::f64)
    }
}
