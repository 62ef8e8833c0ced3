//! How a claim ends.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    events,
    runtime::{self, Instant},
    settings::Settings,
    store::{Claim, Completion, Effects, Store, StoreError},
    telemetry::Stopwatch,
};

/// What becomes of a claim once its handler has ended.
#[derive(Debug, Clone)]
pub(crate) enum Settlement {
    /// The answer is recorded.
    Complete(Bytes, Effects),
    /// Nothing was done.
    Release,
    /// Nobody knows what was done.
    Abandon,
}

impl Settlement {
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Complete(..))
    }

    /// Returns for how long there is use in trying again. To be abandoned is what an old claim comes
    /// to by itself; one under which nothing was done must not come to that.
    pub(crate) fn is_of_use_for(&self, claim: &Claim, settings: &Settings) -> Duration {
        match self {
            Self::Abandon => claim.lease(),
            Self::Complete(..) | Self::Release => claim.lease().max(settings.max_execution),
        }
    }

    /// Returns what is counted.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Complete(..) => "recorded",
            Self::Release => "released",
            Self::Abandon => "unknown",
        }
    }

    /// Applies the settlement once. The store gets the record, and no copy is kept.
    pub(crate) async fn apply<S: Store>(
        self,
        store: &S,
        claim: &Claim,
    ) -> Result<Completion, StoreError> {
        let stopwatch = Stopwatch::start();
        let (operation, settled) = match self {
            Self::Complete(record, effects) => {
                ("complete", store.complete(claim, record, effects).await)
            }
            Self::Release => (
                "release",
                store.release(claim).await.map(|()| Completion::Kept),
            ),
            Self::Abandon => (
                "abandon",
                store.abandon(claim).await.map(|()| Completion::Kept),
            ),
        };
        stopwatch.settlement_answered(operation);
        if let Err(error) = &settled {
            events::store_failed(operation, claim.name(), error);
        }
        settled
    }
}

/// Applies a settlement until the store answers, or until there is no use in it any more.
pub(crate) async fn keep_trying<S: Store>(
    store: &S,
    claim: &Claim,
    settlement: &Settlement,
    until: Instant,
) {
    const FIRST_PAUSE: Duration = Duration::from_millis(25);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);
    let mut pause = FIRST_PAUSE;
    while settlement.clone().apply(store, claim).await.is_err() {
        runtime::sleep(runtime::jittered(pause)).await;
        if Instant::now() >= until {
            return;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
