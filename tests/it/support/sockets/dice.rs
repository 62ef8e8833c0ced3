use std::{env, ops::Range, time::Duration};

/// Numbers from a seed, so that a failure can be repeated (`SOCKETS_SEED=N`).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Takes a new seed, or that of the environment, and prints it: tests that fail show it.
    pub(crate) fn seeded() -> Self {
        Self::of("SOCKETS_SEED")
    }

    /// The same, from a variable of another name.
    pub(crate) fn of(variable: &str) -> Self {
        let seed = match env::var(variable) {
            Ok(seed) => seed
                .parse()
                .unwrap_or_else(|_| panic!("{variable} is no whole number")),
            Err(_) => rand::random(),
        };
        println!("{variable}={seed}");
        Self(seed)
    }

    /// Dice of their own for one part of a test, whatever the other parts roll.
    pub(crate) fn for_part(&self, part: u64) -> Self {
        let mut dice = Self(self.0 ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93));
        dice.roll(0..2);
        dice
    }

    /// Says yes in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.roll(0..100) < percent
    }

    /// Returns a number of a range (splitmix64).
    pub(crate) fn roll(&mut self, range: Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (z ^ (z >> 31)) % (range.end - range.start)
    }

    pub(crate) fn micros(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.roll(range))
    }
}
