use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Response;
use tokio::sync::Semaphore;

use crate::{
    body::Buffered,
    permits::{Permits, Waiting},
    rejection::Rejection,
    renewer::Renewer,
    runtime::{self, Handle, Instant},
    settings::Settings,
    settle::{Settlement, keep_trying},
    store::{Claim, Store},
    telemetry,
};

/// What all services of one layer share.
pub(crate) struct Shared<S> {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<S>,
    pub(crate) permits: Arc<Permits>,
    pub(crate) renewer: Arc<Renewer<S>>,
    cleanups: Arc<Semaphore>,
    /// What is warned about once, and not for every request.
    pub(crate) warned: Arc<Warned>,
}

/// Which mistakes in setting up a layer were told.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    pub(crate) layered_twice: OnceLock<()>,
    pub(crate) credentials_changed: OnceLock<()>,
}

/// How many claims are taken back at the same time, while a store does not answer. What is over
/// this lapses by itself.
const MAX_CLEANUPS: usize = 1024;

impl<S: Store> Shared<S> {
    pub(crate) fn new(store: S) -> Self {
        let settings = Settings::default();
        let store = Arc::new(store);
        Self {
            permits: Permits::new(settings.max_in_flight, settings.max_waiting),
            renewer: Arc::new(Renewer::new(Arc::clone(&store))),
            cleanups: Arc::new(Semaphore::new(MAX_CLEANUPS)),
            warned: Arc::default(),
            settings,
            store,
        }
    }

    /// Answers a request that is not carried out.
    pub(crate) fn reject(&self, rejection: Rejection, grpc: bool) -> Response<Buffered> {
        telemetry::refused(rejection.code());
        let mut response: Response<Bytes> = rejection.response(grpc, &self.settings.problem_base);
        if let Some(on_rejection) = &self.settings.on_rejection {
            on_rejection(&rejection, &mut response);
        }
        response.map(|body| Buffered::new(body, None))
    }

    /// Lets a request wait for the owner of its key, if the user asked for that and there is room.
    pub(crate) fn begin_waiting(&self) -> Result<(Instant, Waiting), Rejection> {
        let max = self.settings.wait;
        if max.is_zero() {
            return Err(Rejection::InFlight);
        }
        let place = self.permits.wait().ok_or(Rejection::InFlight)?;
        Ok((Instant::now() + max, place))
    }

    /// Settles a claim that nobody waits for, if the store made it.
    pub(crate) fn clean_up(&self, claim: Claim, settlement: Settlement) {
        let (Ok(runtime), Ok(place)) = (
            Handle::try_current(),
            Arc::clone(&self.cleanups).try_acquire_owned(),
        ) else {
            return;
        };
        let store = Arc::clone(&self.store);
        let until = Instant::now() + settlement.is_of_use_for(&claim, &self.settings);
        runtime::spawn(&runtime, async move {
            keep_trying(&*store, &claim, &settlement, until).await;
            drop(place);
        });
    }
}

// Not derived: a store need not be `Clone`.
impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            store: Arc::clone(&self.store),
            permits: Arc::clone(&self.permits),
            // Its rounds keep the pace of one lease, and this copy is about to be set up anew.
            renewer: Arc::new(Renewer::new(Arc::clone(&self.store))),
            cleanups: Arc::clone(&self.cleanups),
            warned: Arc::clone(&self.warned),
        }
    }
}
