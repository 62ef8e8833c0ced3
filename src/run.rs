use std::{
    any::Any,
    future::poll_fn,
    panic::{self, AssertUnwindSafe},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{Extensions, HeaderName, HeaderValue, Request, Response, response};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{Buffered, Read, RequestBody, ResponseBody},
    context::{IdempotencyContext, LostLease},
    events,
    exchange::Stop,
    fingerprint::Fingerprint,
    key::IdempotencyKey,
    outcome::Outcome,
    permits::Permit,
    rejection::Rejection,
    renewer::Lease,
    replay,
    runtime::{self, Handle, Instant},
    settle::{Settlement, keep_trying},
    shared::Shared,
    store::{Acquired, Claim, Completion, Effects, Store},
};

/// How a run may begin.
pub(crate) enum Start {
    /// As the key's only owner; the claim was sent at this moment.
    Claimed { acquired: Acquired, sent: Instant },
    /// Without the store.
    Degraded,
}

/// One run of the handler, from the claim to its settlement.
pub(crate) struct Run<S: Store> {
    shared: Arc<Shared<S>>,
    claim: Claim,
    fingerprint: Fingerprint,
    permit: Permit,
    /// `None` where the run is without the store.
    lease: Option<Lease<S>>,
    fence: Option<u64>,
    attempt: u32,
    lost: Arc<LostLease>,
    /// Kept until the claim is settled: a store's transaction lives as long as one of these.
    extensions: Extensions,
}

/// What the handler answered, as far as it was read.
struct Answer<B: Body> {
    parts: response::Parts,
    body: AnswerBody<B>,
    outcome: Outcome,
}

enum AnswerBody<B: Body> {
    Whole(Buffered),
    /// Too long to be recorded, or without an end.
    TooLarge(Buffered, Pin<Box<B>>),
    Failed(Buffered, B::Error),
}

impl<S: Store> Run<S> {
    /// Has the lease renewed from now on.
    pub(crate) async fn begin(
        shared: Arc<Shared<S>>,
        claim: Claim,
        fingerprint: Fingerprint,
        permit: Permit,
        start: Start,
    ) -> Self {
        let lost = Arc::new(LostLease::default());
        let mut run = Self {
            claim,
            fingerprint,
            permit,
            lease: None,
            fence: None,
            attempt: 1,
            lost,
            extensions: Extensions::new(),
            shared,
        };
        if let Start::Claimed { acquired, sent } = start {
            let ends = sent + run.shared.settings.max_execution;
            let lease = run
                .shared
                .renewer
                .hold(claim, Arc::clone(&run.lost), sent, ends)
                .await;
            run.lease = Some(lease);
            run.fence = Some(acquired.fence);
            run.attempt = acquired.attempt;
            run.extensions = acquired.extensions;
            if acquired.attempt > 1 {
                events::took_over(claim.name(), acquired.attempt);
            }
        }
        run
    }

    /// Ends a run whose handler has not started. Nobody reads the rejection.
    pub(crate) fn call_off(self) -> Rejection {
        self.shared.clean_up(self.claim, Settlement::Release);
        Rejection::InFlight
    }

    /// Runs the handler and settles what its answer means for the key.
    pub(crate) async fn handle<I, B, R>(
        self,
        inner: I,
        mut request: Request<RequestBody<B>>,
        key: IdempotencyKey,
    ) -> Result<Response<ResponseBody<R>>, Stop<I::Error>>
    where
        I: Service<Request<RequestBody<B>>, Response = Response<R>>,
        R: Body<Data = Bytes>,
    {
        let (name, lost) = (*self.claim.name(), Arc::clone(&self.lost));
        let context = IdempotencyContext::new(key, name, self.fence, self.attempt, lost);
        request.extensions_mut().extend(self.extensions.clone());
        request.extensions_mut().insert(context);
        match catch_panic(self.call(inner, request)).await {
            Ok(Ok(answer)) => {
                let settlement = self.settlement(&answer);
                let degraded = self.lease.is_none();
                self.settle(settlement).await?;
                Ok(answer.into_response(degraded))
            }
            Ok(Err(error)) => {
                let _ = self.settle(Settlement::Abandon).await;
                Err(Stop::Failed(error))
            }
            Err(payload) => {
                let _ = self.settle(Settlement::Abandon).await;
                panic::resume_unwind(payload)
            }
        }
    }

    /// Calls the handler and reads its answer, as far as it can be recorded.
    async fn call<I, B, R>(
        &self,
        mut inner: I,
        request: Request<RequestBody<B>>,
    ) -> Result<Answer<R>, I::Error>
    where
        I: Service<Request<RequestBody<B>>, Response = Response<R>>,
        R: Body<Data = Bytes>,
    {
        let (parts, body) = inner.call(request).await?.into_parts();
        let limit = self.shared.settings.max_response_bytes;
        let body = if replay::is_endless(&parts) {
            AnswerBody::TooLarge(Buffered::default(), Box::pin(body))
        } else if body.is_end_stream() {
            AnswerBody::Whole(Buffered::default())
        } else {
            let mut body = Box::pin(body);
            match Buffered::read(body.as_mut(), limit).await {
                Read::Whole(read) => AnswerBody::Whole(read),
                Read::TooLarge(read) => AnswerBody::TooLarge(read, body),
                Read::Failed(read, error) => AnswerBody::Failed(read, error),
            }
        };
        let outcome = self.outcome(&parts, &body);
        Ok(Answer {
            parts,
            body,
            outcome,
        })
    }

    fn outcome<B: Body>(&self, parts: &response::Parts, body: &AnswerBody<B>) -> Outcome {
        if let AnswerBody::Failed(..) = body {
            return Outcome::Unknown;
        }
        if let Some(outcome) = parts.extensions.get::<Outcome>() {
            return *outcome;
        }
        match &self.shared.settings.outcome {
            Some(outcome) => outcome(parts),
            None => Outcome::of(parts, body.trailers()),
        }
    }

    fn settlement<B: Body>(&self, answer: &Answer<B>) -> Settlement {
        match answer.outcome {
            Outcome::Retryable => return Settlement::Release,
            Outcome::Unknown => return Settlement::Abandon,
            Outcome::Final => {}
        }
        let body = match &answer.body {
            AnswerBody::Whole(body) => Some(body),
            _ => {
                events::body_omitted(self.claim.name());
                None
            }
        };
        let record = replay::record(&self.shared.settings, self.fingerprint, &answer.parts, body);
        let effects = answer.parts.extensions.get::<Effects>().copied();
        let effects = effects.unwrap_or_else(|| Effects::of(&answer.parts, answer.body.trailers()));
        Settlement::Complete(record.encode(self.claim.name()), effects)
    }

    /// Settles the claim, or leaves that to a task while the client gets its answer.
    async fn settle(self, settlement: Settlement) -> Result<(), Rejection> {
        let Self {
            shared,
            claim,
            permit,
            lease,
            extensions,
            ..
        } = self;
        let Some(lease) = lease else {
            shared.clean_up(claim, settlement);
            return Ok(());
        };
        match settlement.apply(&*shared.store, &claim).await {
            Ok(Completion::Superseded) => {
                events::superseded(claim.name());
                return Err(Rejection::Superseded);
            }
            Ok(Completion::Undone) => return Err(Rejection::StoreUnavailable),
            Ok(Completion::Kept) => {}
            Err(_) if matches!(settlement, Settlement::Complete(..)) => {
                // The claim goes on being renewed while its result is not saved.
                let until = lease.ends().max(Instant::now() + claim.lease());
                if let Ok(runtime) = Handle::try_current() {
                    runtime::spawn(&runtime, async move {
                        keep_trying(&*shared.store, &claim, &settlement, until).await;
                        drop((lease, permit, extensions));
                    });
                }
                return Ok(());
            }
            Err(_) => shared.clean_up(claim, settlement.clone()),
        }
        // Another run has the key, and its answer counts.
        if lease.is_taken() && !matches!(settlement, Settlement::Complete(..)) {
            return Err(Rejection::Superseded);
        }
        Ok(())
    }
}

impl<B: Body<Data = Bytes>> Answer<B> {
    fn into_response(mut self, degraded: bool) -> Response<ResponseBody<B>> {
        const DEGRADED: HeaderName = HeaderName::from_static("idempotency-degraded");
        if degraded {
            self.parts
                .headers
                .insert(DEGRADED, HeaderValue::from_static("true"));
        }
        let body = match self.body {
            AnswerBody::Whole(read) => ResponseBody::buffered(read),
            AnswerBody::TooLarge(read, rest) => ResponseBody::resumed(read, rest),
            AnswerBody::Failed(read, error) => ResponseBody::failed(read, error),
        };
        Response::from_parts(self.parts, body)
    }
}

impl<B: Body> AnswerBody<B> {
    fn trailers(&self) -> Option<&http::HeaderMap> {
        match self {
            Self::Whole(body) => body.trailers(),
            _ => None,
        }
    }
}

/// Runs a future to its end, or to its panic.
async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => Poll::Ready(Err(payload)),
        },
    )
    .await
}
