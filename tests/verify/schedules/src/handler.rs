use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use shuttle::{
    future,
    rand::{Rng, thread_rng},
};
use tower_idempotency::{IdempotencyContext, Outcome, RequestBody};
use tower_service::Service;

/// Whether the client of a request has left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone(Arc<AtomicBool>);

impl Gone {
    pub(crate) fn note(&self) {
        self.0.store(true, SeqCst);
    }
}

/// A handler that takes some steps, and counts itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler {
    pub(crate) counts: Arc<Counts>,
    /// Now and then nothing is done, or nobody knows what was.
    pub(crate) varies: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The fences of the runs under way.
    under_way: Mutex<Vec<u64>>,
    /// Runs that ended with an answer to be recorded.
    pub(crate) done: AtomicUsize,
}

impl Counts {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<u64>) -> T) -> T {
        change(&mut self.under_way.lock().expect("never poisoned"))
    }
}

impl Service<Request<RequestBody<Full<Bytes>>>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        let gone: Option<&Gone> = request.extensions().get();
        let is_gone = gone.is_some_and(|gone| gone.0.load(SeqCst));
        assert!(!is_gone, "a handler starts whose client has left");
        let (counts, varies) = (Arc::clone(&self.counts), self.varies);
        Box::pin(async move {
            let context: &IdempotencyContext = request.extensions().get().expect("a keyed request");
            let fence = context.fence().expect("a fence");
            let overlapping = counts.change(|fences| {
                fences.push(fence);
                fences.clone()
            });
            let shared = overlapping.iter().filter(|other| **other == fence).count() > 1;
            assert!(
                !shared,
                "two runs that overlap have one fence: {overlapping:?}"
            );
            let steps = thread_rng().gen_range(0..3);
            for _ in 0..steps {
                future::yield_now().await;
            }
            counts.change(|fences| fences.retain(|other| *other != fence));
            let mut response = Response::new(Full::from(fence.to_string()));
            let outcome = match thread_rng().gen_range(0..4) {
                0 if varies => Outcome::Retryable,
                1 if varies => Outcome::Unknown,
                _ => {
                    counts.done.fetch_add(1, SeqCst);
                    Outcome::Final
                }
            };
            response.extensions_mut().insert(outcome);
            Ok(response)
        })
    }
}
