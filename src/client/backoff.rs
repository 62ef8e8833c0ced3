use std::{fmt, iter, sync::Arc, time::Duration};

use super::Jitter;

/// Says how the pause before each retry grows.
///
/// A backoff yields *ceilings*; [`Jitter`] decides where below the ceiling a pause falls. Every
/// call starts at the first ceiling.
///
/// ```
/// use std::time::Duration;
/// use tower_idempotency::client::{Backoff, RetryPolicy};
///
/// // 100 ms, 200 ms, 400 ms ... 10 s, each the ceiling of a random pause.
/// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10));
/// // As many retries as the iterator has items, whatever `max_attempts` would still allow.
/// let fibonacci = Backoff::from_iter([1, 1, 2, 3, 5].map(Duration::from_secs));
/// # RetryPolicy::builder().backoff(backoff).build()?;
/// # RetryPolicy::builder().backoff(fibonacci).build()?;
/// # Ok::<(), tower_idempotency::client::InvalidPolicy>(())
/// ```
#[derive(Clone)]
pub struct Backoff(Kind);

const DOUBLING: f64 = 2.0;

#[derive(Clone)]
enum Kind {
    Fixed(Duration),
    Exponential {
        base: Duration,
        cap: Duration,
        factor: f64,
    },
    Iterator(Arc<dyn Fn() -> Ceilings + Send + Sync>),
}

/// The ceilings of one call.
pub(super) type Ceilings = Box<dyn Iterator<Item = Duration> + Send + Sync>;

impl Backoff {
    /// Pauses for the same time before every retry, without jitter unless a [`Jitter`] is set.
    ///
    /// Clients that failed together then come back together: for anything that many clients call,
    /// prefer [`exponential`](Self::exponential).
    #[must_use]
    pub fn fixed(delay: Duration) -> Self {
        Self(Kind::Fixed(delay))
    }

    /// Doubles the ceiling from `base` up to `cap`, with [`Jitter::Full`] unless another is set.
    ///
    /// A base of zero or above the cap is an error when the policy is built.
    #[must_use]
    pub fn exponential(base: Duration, cap: Duration) -> Self {
        Self(Kind::Exponential {
            base,
            cap,
            factor: DOUBLING,
        })
    }

    /// Multiplies an exponential backoff's ceiling by `factor` before each further retry.
    ///
    /// Default: 2. A factor below 1, infinite or not a number is an error when the policy is built.
    /// So is any other than 2 with [`Jitter::Decorrelated`], which grows by itself. The other
    /// backoffs have no factor and stay as they are.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        if let Kind::Exponential { factor: old, .. } = &mut self.0 {
            *old = factor;
        }
        self
    }

    /// Takes the ceilings from an iterator, cloned for every call: those of other crates fit.
    ///
    /// When it ends, so do the retries. There is no jitter unless a [`Jitter`] is set.
    #[expect(
        clippy::should_implement_trait,
        reason = "the trait takes no bounds for `Clone`, `Send` and `Sync`"
    )]
    #[must_use]
    pub fn from_iter<I>(ceilings: I) -> Self
    where
        I: IntoIterator<Item = Duration>,
        I::IntoIter: Clone + Send + Sync + 'static,
    {
        let ceilings = ceilings.into_iter();
        Self(Kind::Iterator(Arc::new(move || Box::new(ceilings.clone()))))
    }

    pub(super) fn ceilings(&self) -> Ceilings {
        match &self.0 {
            Kind::Fixed(delay) => Box::new(iter::repeat(*delay)),
            &Kind::Exponential { base, cap, factor } => {
                Box::new(iter::successors(Some(base), move |ceiling| {
                    Some(grown(*ceiling, factor, cap))
                }))
            }
            Kind::Iterator(ceilings) => ceilings(),
        }
    }

    /// Base and cap, which only an exponential backoff has.
    pub(super) fn bounds(&self) -> Option<(Duration, Duration)> {
        match self.0 {
            Kind::Exponential { base, cap, .. } => Some((base, cap)),
            _ => None,
        }
    }

    pub(super) fn has_own_factor(&self) -> bool {
        matches!(self.0, Kind::Exponential { factor, .. } if factor.to_bits() != DOUBLING.to_bits())
    }

    pub(super) fn default_jitter(&self) -> Jitter {
        match self.0 {
            Kind::Exponential { .. } => Jitter::Full,
            _ => Jitter::None,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let Kind::Exponential { base, cap, factor } = self.0 else {
            return Ok(());
        };
        if base.is_zero() {
            return Err(
                "an exponential backoff never grows from zero: give it a base of 1 ms or more"
                    .into(),
            );
        }
        if base > cap {
            return Err(format!(
                "the backoff's base of {base:?} is above its cap of {cap:?}: lower the base or raise the cap"
            ));
        }
        if !(factor.is_finite() && factor >= 1.0) {
            return Err(format!(
                "the backoff's factor is {factor}: set a number of 1 or more"
            ));
        }
        Ok(())
    }
}

fn grown(ceiling: Duration, factor: f64, cap: Duration) -> Duration {
    Duration::try_from_secs_f64(ceiling.as_secs_f64() * factor).map_or(cap, |grown| grown.min(cap))
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(delay) => f.debug_tuple("Fixed").field(delay).finish(),
            Kind::Exponential { base, cap, factor } => f
                .debug_struct("Exponential")
                .field("base", base)
                .field("cap", cap)
                .field("factor", factor)
                .finish(),
            Kind::Iterator(_) => f.write_str("Iterator"),
        }
    }
}
