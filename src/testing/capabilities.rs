use std::time::Duration;

/// What a store can do, and so what [`conformance`](super::conformance) asks of it.
#[derive(Debug, Clone)]
pub struct Capabilities {
    pub(super) durable_claims: bool,
    pub(super) wakes_other_clients: bool,
    pub(super) pace: Duration,
    pub(super) at_once: usize,
    pub(super) holds_many: bool,
}

impl Capabilities {
    /// Asks for everything in the contract of [`Store`](crate::Store): claims outlive whoever made
    /// them, lapse, and are taken over under a higher fence.
    #[must_use]
    pub const fn durable() -> Self {
        Self {
            durable_claims: true,
            wakes_other_clients: true,
            pace: Duration::from_millis(200),
            at_once: 24,
            holds_many: true,
        }
    }

    /// Asks for what a store can promise whose claim is an open transaction: the claim is undone
    /// with it, so that nothing lapses, nothing is left unknown, and every fence is 1.
    #[must_use]
    pub const fn transactional() -> Self {
        Self {
            durable_claims: false,
            ..Self::durable()
        }
    }

    /// Does not ask that a change made through one client wakes who waits at another.
    #[must_use]
    pub const fn without_wake_ups_across_clients(mut self) -> Self {
        self.wakes_other_clients = false;
        self
    }

    /// Sets the unit of the leases and ttls that the suite lets pass. A store that answers slowly
    /// needs a longer one; the suite takes some fifteen units, and doubles it where it finds that
    /// an answer came too late to be judged.
    ///
    /// Default: 200 milliseconds.
    #[must_use]
    pub const fn pace(mut self, unit: Duration) -> Self {
        self.pace = unit;
        self
    }

    /// Asks for no two claims that are held at the same time, of different names: a store whose
    /// claim is the only transaction that writes can hold one. Checks run one after another.
    #[must_use]
    pub const fn one_claim_at_a_time(mut self) -> Self {
        self.holds_many = false;
        self.at_once = 1;
        self
    }

    /// Sets how many checks run at once, each of which may hold four claims. A store that needs a
    /// connection for each of them may not have so many. At one time, two hundred claims are made
    /// of one name, whatever this is.
    ///
    /// Default: 24.
    #[must_use]
    pub const fn at_once(mut self, checks: usize) -> Self {
        self.at_once = checks;
        self
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::durable()
    }
}
