use std::{env, ops::Range, time::Duration};

/// Numbers from a seed, so that a failure can be repeated (`SOCKETS_SEED=N`).
pub(crate) struct Dice(u64);

impl Dice {
    /// Takes a new seed, or that of the environment, and prints it: tests that fail show it.
    pub(crate) fn seeded() -> Self {
        let seed = match env::var("SOCKETS_SEED") {
            Ok(seed) => seed.parse().expect("SOCKETS_SEED is a whole number"),
            Err(_) => rand::random(),
        };
        println!("SOCKETS_SEED={seed}");
        Self(seed)
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
