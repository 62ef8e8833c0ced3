use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tower::retry::budget::{Budget as _, TpsBudget};

/// Limits the retries of all calls on one policy to a share of its good calls.
///
/// When everything fails, a limit per call does not help: with three attempts each, the clients of
/// a struggling server triple its load. A budget earns by calls that ended well and pays for each
/// retry; when it is empty, the first failure is final. It is `tower`'s
/// [`TpsBudget`], which counts over a sliding window.
///
/// A call earns when it ended in an answer that is not a retryable failure, whether it needed
/// retries or not. A `409` of a call still under way is waited for without paying, since its retry
/// adds no work.
///
/// ```
/// use tower_idempotency::client::{Budget, RetryPolicy};
///
/// // One retry for five good calls of the last ten seconds, and always one per second.
/// let retry = RetryPolicy::builder()
///     .budget(Budget::percent(20).reserve(1))
///     .build()?;
/// # Ok::<(), tower_idempotency::client::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    percent: u32,
    reserve: u32,
    window: Duration,
}

impl Budget {
    /// Allows so many retries for a hundred good calls: 10, 20, 25 or 50.
    ///
    /// Others are an error when the policy is built, since the `tower` budget rounds to a whole
    /// number of calls for each retry (it takes 0.6 for 1).
    #[must_use]
    pub fn percent(percent: u32) -> Self {
        Self {
            percent,
            reserve: 0,
            window: Duration::from_secs(10),
        }
    }

    /// Allows so many retries per second whatever the good calls are, on the average of a window.
    ///
    /// They are not spread over it: a second's worth for each second of the window may be spent at
    /// once. Default: 0. A client of few calls needs some, for it earns nothing to retry from.
    #[must_use]
    pub fn reserve(mut self, per_second: u32) -> Self {
        self.reserve = per_second;
        self
    }

    /// Sets how long a good call counts, from 1 s to 60 s.
    ///
    /// Default: 10 s.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.share().is_none() {
            return Err(format!(
                "a budget of {} % cannot be kept exactly: choose 10, 20, 25 or 50",
                self.percent
            ));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&self.window) {
            return Err(format!(
                "the budget's window is {:?}: choose 1 s to 60 s",
                self.window
            ));
        }
        if self.reserve > MAX_RESERVE {
            return Err(format!(
                "the budget's reserve is {} retries per second: choose at most {MAX_RESERVE}",
                self.reserve
            ));
        }
        Ok(())
    }

    /// Makes the account that all clones of a policy share.
    pub(super) fn open(&self) -> Account {
        let share = self.share().expect("a checked budget");
        Account {
            budget: TpsBudget::new(self.window, self.reserve, share),
            withdrawing: Mutex::new(()),
        }
    }

    fn share(&self) -> Option<f32> {
        match self.percent {
            10 => Some(0.1),
            20 => Some(0.2),
            25 => Some(0.25),
            50 => Some(0.5),
            _ => None,
        }
    }
}

/// What a policy's calls have earned and not yet paid.
#[derive(Debug)]
pub(super) struct Account {
    budget: TpsBudget,
    /// `TpsBudget` looks and then takes: without this, two threads could both take the last retry.
    withdrawing: Mutex<()>,
}

impl Account {
    pub(super) fn withdraw(&self) -> bool {
        let _alone = self
            .withdrawing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.budget.withdraw()
    }

    pub(super) fn deposit(&self) {
        self.budget.deposit();
    }
}

/// Far above any use, and far below what `TpsBudget` refuses with a panic.
const MAX_RESERVE: u32 = 1_000_000;
