use std::{iter::Peekable, time::Duration};

use fastrand::Rng;

use super::{
    Jitter,
    backoff::{Backoff, Ceilings},
};

/// The pauses of one call, drawn one by one.
pub(super) struct Delays {
    ceilings: Peekable<Ceilings>,
    jitter: Jitter,
    bounds: (Duration, Duration),
    previous: Duration,
    rng: Rng,
}

impl Delays {
    pub(super) fn new(backoff: &Backoff, jitter: Jitter, rng: Rng) -> Self {
        let bounds = backoff.bounds().unwrap_or_default();
        Self {
            ceilings: backoff.ceilings().peekable(),
            jitter,
            bounds,
            previous: bounds.0,
            rng,
        }
    }

    /// Draws the next pause; `None` once the backoff has ended.
    pub(super) fn advance(&mut self) -> Option<Duration> {
        let ceiling = self.ceilings.next()?;
        self.previous = self.draw(ceiling);
        Some(self.previous)
    }

    /// Draws a pause like the next one without using it up: none once the backoff has ended.
    pub(super) fn linger(&mut self) -> Duration {
        let ceiling = self.ceilings.peek().copied().unwrap_or_default();
        self.draw(ceiling)
    }

    fn draw(&mut self, ceiling: Duration) -> Duration {
        self.jitter
            .draw(&mut self.rng, ceiling, self.bounds, self.previous)
    }
}
