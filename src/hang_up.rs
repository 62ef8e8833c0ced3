use std::sync::atomic::{AtomicU8, Ordering};

/// What a hang-up of the client means for the exchange, and whether there was one.
///
/// The exchange says the first, the response future the second. They are never at work at the
/// same time, so the order of other memory does not depend on this.
#[derive(Debug, Default)]
pub(crate) struct HangUp(AtomicU8);

/// A hang-up ends the exchange.
const ENDS: u8 = 0;
/// The exchange goes on without its client.
const OUTLIVED: u8 = 1;
/// The client is gone.
const HAPPENED: u8 = 2;

impl HangUp {
    /// From now on the exchange goes on without its client.
    pub(crate) fn outlive(&self) {
        self.change(ENDS, OUTLIVED);
    }

    /// From now on a hang-up ends the exchange again.
    pub(crate) fn end_with_client(&self) {
        self.change(OUTLIVED, ENDS);
    }

    /// Notes a hang-up; returns whether the exchange goes on.
    pub(crate) fn note(&self) -> bool {
        self.change(OUTLIVED, HAPPENED)
    }

    /// Says whether the client is gone.
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HAPPENED
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
