use std::{error::Error, fmt, sync::Arc, sync::atomic::AtomicU64, time::Duration};

use http::HeaderName;

use super::{
    Backoff, Budget, Jitter, Key, RetryEvent, RetryPolicy,
    settings::{OnRetry, Settings},
};

/// Builds a [`RetryPolicy`].
///
/// ```
/// use std::time::Duration;
/// use tower_idempotency::client::{Backoff, Budget, Jitter, Key, RetryPolicy};
///
/// let retry = RetryPolicy::builder()
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)))
///     .jitter(Jitter::Full)
///     .max_attempts(4)
///     .attempt_timeout(Duration::from_secs(5))
///     .deadline(Duration::from_secs(30))
///     .budget(Budget::percent(20).reserve(1))
///     .idempotency_key(Key::UuidV7) // this server deduplicates
///     .on_retry(|event| eprintln!("{}, again in {:?}", event.cause(), event.delay()))
///     .build()?;
/// # Ok::<(), tower_idempotency::client::InvalidPolicy>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct RetryPolicyBuilder {
    backoff: Backoff,
    jitter: Option<Jitter>,
    max_attempts: u32,
    attempt_timeout: Option<Duration>,
    deadline: Option<Duration>,
    max_retry_after: Duration,
    key: Key,
    key_header: HeaderName,
    any_conflict: bool,
    budget: Option<Budget>,
    on_retry: Option<OnRetry>,
    seed: Option<u64>,
}

impl RetryPolicyBuilder {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)),
            jitter: None,
            max_attempts: 3,
            attempt_timeout: None,
            deadline: None,
            max_retry_after: Duration::from_secs(60),
            key: Key::Never,
            key_header: HeaderName::from_static("idempotency-key"),
            any_conflict: false,
            budget: None,
            on_retry: None,
            seed: None,
        }
    }

    /// Sets how the pauses grow.
    ///
    /// Default: exponential from 100 ms to 10 s.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how the pauses are spread.
    ///
    /// Default: [`Jitter::Full`] for an exponential backoff, otherwise [`Jitter::None`].
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Sets how many requests a call may send, the first included.
    ///
    /// Waiting for a 409 does not count: with 1, nothing else is sent again. Default: 3. Zero is an error when the policy is built.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets how long one attempt may take until the head of its answer is there; a retry's wait
    /// until the inner service is ready is part of it.
    ///
    /// An attempt that takes longer is ambiguous: the request may have been carried out. Without
    /// this no timer is armed for an attempt. Default: none.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets how long after its start a call may still begin an attempt.
    ///
    /// It is checked before the pause: a call that could only sleep past it returns what it has,
    /// at once. An attempt under way is not cut off, so that a call takes at most this and one
    /// attempt timeout. Default: none, but 60 s for waiting on a 409, from the first on.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the longest pause that a server may ask for with `Retry-After`, or with gRPC's
    /// `grpc-retry-pushback-ms`.
    ///
    /// One that asks for more gets no retry, and the caller its answer. What it asks for is a
    /// floor: the pause of the backoff comes on top, so that clients told the same time do not
    /// come back together. Default: 60 s.
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// Sets where a call without an idempotency key gets one from.
    ///
    /// Default: [`Key::Never`]. Choose another only where the server deduplicates.
    pub fn idempotency_key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Sets the header that holds the key.
    ///
    /// Default: `Idempotency-Key`, as in draft-ietf-httpapi-idempotency-key-header-07.
    pub fn key_header(mut self, name: HeaderName) -> Self {
        self.key_header = name;
        self
    }

    /// Waits on a keyed request's 409 even without `Retry-After`.
    ///
    /// For servers that answer so while an earlier attempt is under way, and never otherwise.
    /// Default: only a 409 with `Retry-After` is waited on.
    pub fn wait_on_conflict(mut self) -> Self {
        self.any_conflict = true;
        self
    }

    /// Limits the retries of all calls on this policy to a share of its good calls.
    ///
    /// Default: none.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Calls a closure before each retry's pause, to log or count it.
    ///
    /// It runs in the call's own task and must not block. Default: none.
    pub fn on_retry(mut self, hook: impl Fn(&RetryEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_retry = Some(Arc::new(hook));
        self
    }

    /// Makes the pauses repeatable, for tests and simulations: one seed, one sequence of calls.
    ///
    /// Keys stay random. Default: seeded by chance.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the settings and makes the policy.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidPolicy`], which says what to change, where settings cannot work or do not
    /// go together.
    pub fn build(self) -> Result<RetryPolicy, InvalidPolicy> {
        self.check().map_err(InvalidPolicy)?;
        Ok(RetryPolicy::new(Settings {
            jitter: self.effective_jitter(),
            backoff: self.backoff,
            max_attempts: self.max_attempts,
            attempt_timeout: self.attempt_timeout,
            deadline: self.deadline,
            max_retry_after: self.max_retry_after,
            key: self.key,
            key_header: self.key_header,
            any_conflict: self.any_conflict,
            budget: self.budget.map(|budget| budget.open()),
            on_retry: self.on_retry,
            seed: self.seed,
            drawn: AtomicU64::new(0),
        }))
    }

    fn effective_jitter(&self) -> Jitter {
        self.jitter.unwrap_or_else(|| self.backoff.default_jitter())
    }

    fn check(&self) -> Result<(), String> {
        self.backoff.check()?;
        self.check_times()?;
        if self.max_attempts == 0 {
            return Err(
                "a call of zero attempts sends nothing: set max_attempts to 1 or more".into(),
            );
        }
        if self.jitter == Some(Jitter::Decorrelated) && self.backoff.bounds().is_none() {
            return Err(
                "decorrelated jitter grows from a base to a cap: use Backoff::exponential, or another jitter"
                    .into(),
            );
        }
        if self.jitter == Some(Jitter::Decorrelated) && self.backoff.has_own_factor() {
            return Err(
                "decorrelated jitter grows by itself: leave the backoff's factor out, or use another jitter"
                    .into(),
            );
        }
        self.budget.as_ref().map_or(Ok(()), Budget::check)
    }

    fn check_times(&self) -> Result<(), String> {
        if self
            .attempt_timeout
            .is_some_and(|timeout| timeout.is_zero())
        {
            return Err("an attempt timeout of zero fails every attempt: set 1 ms or more".into());
        }
        if self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(
                "a deadline of zero allows no retry: leave it out, or set 1 ms or more".into(),
            );
        }
        match (self.attempt_timeout, self.deadline) {
            (Some(timeout), Some(deadline)) if deadline < timeout => Err(format!(
                "the deadline of {deadline:?} is shorter than one attempt's timeout of {timeout:?}: raise the deadline or lower the timeout"
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for RetryPolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicyBuilder").finish_non_exhaustive()
    }
}

/// Says which setting of a policy cannot work, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy(String);

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidPolicy {}
