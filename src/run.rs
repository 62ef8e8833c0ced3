use std::{mem, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, response};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{Buffered, Read, RequestBody, ResponseBody},
    context::IdempotencyContext,
    events,
    fingerprint::Fingerprint,
    key::IdempotencyKey,
    lease::Lease,
    outcome::{Outcome, grpc_status},
    panics::{self, Panic},
    permits::Permit,
    rejection::Rejection,
    renewer::Renewing,
    replay,
    runtime::{self, Handle, Instant},
    settle::{Settlement, keep_trying},
    shared::Shared,
    store::{Acquired, Claim, Completion, Effects, Renewal, Store},
    telemetry,
};

/// How a run may begin.
pub(crate) enum Start {
    /// As the key's only owner; the claim was sent at this moment.
    Claimed { acquired: Acquired, sent: Instant },
    /// Without the store.
    Degraded,
}

/// One run of the handler, from the claim to its settlement.
pub(crate) struct Run<'a, S: Store> {
    shared: &'a Arc<Shared<S>>,
    claim: &'a Claim,
    fingerprint: &'a Fingerprint,
    /// `None` without the store. Its extensions are kept until the claim is settled: a store's
    /// transaction lives as long as one of these.
    acquired: Option<Acquired>,
    /// What is given back when the claim is settled; the lease is `None` without the store.
    held: Option<(Permit, Option<Renewing<S>>)>,
}

/// What the handler answered, as far as it was read.
pub(crate) struct Answer<B: Body> {
    parts: response::Parts,
    body: AnswerBody<B>,
    settlement: Settlement,
}

enum AnswerBody<B: Body> {
    Whole(Buffered),
    /// Too long to be recorded, or without an end.
    TooLarge(Buffered, Pin<Box<B>>),
    Failed(Buffered, B::Error),
}

impl<'a, S: Store> Run<'a, S> {
    /// Begins a run: from now on its lease is renewed.
    pub(crate) fn new(
        shared: &'a Arc<Shared<S>>,
        claim: &'a Claim,
        fingerprint: &'a Fingerprint,
        permit: Permit,
        start: Start,
    ) -> Self {
        let run = Self {
            shared,
            claim,
            fingerprint,
            acquired: None,
            held: Some((permit, None)),
        };
        match start {
            Start::Degraded => run,
            Start::Claimed { acquired, sent } => run.claimed(acquired, sent),
        }
    }

    fn claimed(mut self, acquired: Acquired, sent: Instant) -> Self {
        let ends = sent + self.shared.settings.max_execution;
        let renewing = self.shared.renewer.renew(*self.claim, sent, ends);
        self.held = self.held.map(|(permit, _)| (permit, Some(renewing)));
        telemetry::runs(acquired.attempt);
        if acquired.attempt > 1 {
            events::took_over(self.claim.name(), acquired.attempt);
        }
        self.acquired = Some(acquired);
        self
    }

    fn renewing(&self) -> Option<&Renewing<S>> {
        self.held
            .as_ref()
            .and_then(|(_, renewing)| renewing.as_ref())
    }

    /// Calls the handler.
    pub(crate) fn call<I, B>(
        &self,
        inner: &mut I,
        mut request: Request<RequestBody<B>>,
        key: IdempotencyKey,
    ) -> Result<Pin<Box<I::Future>>, Panic>
    where
        I: Service<Request<RequestBody<B>>>,
    {
        let lease = self.renewing().map(|renewing| Arc::clone(renewing.lease()));
        let acquired = self.acquired.as_ref();
        let context = IdempotencyContext::new(key, *self.claim.name(), acquired, lease);
        if let Some(acquired) = acquired {
            request.extensions_mut().extend(acquired.extensions.clone());
        }
        request.extensions_mut().insert(context);
        // Boxed: the future of a whole router is moved only once then, and the exchange stays small.
        panics::catch(|| Box::pin(inner.call(request)))
    }

    /// Reads the handler's answer, as far as it can be recorded, and says what it means for the
    /// key. The user's own rules for that are asked here, where a panic is caught.
    pub(crate) async fn read<B, E>(
        &self,
        response: impl Future<Output = Result<Response<B>, E>>,
    ) -> Result<Box<Answer<B>>, E>
    where
        B: Body<Data = Bytes>,
    {
        let (parts, body) = response.await?.into_parts();
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
        let grpc_status = grpc_status(&parts.headers, body.whole().and_then(Buffered::trailers));
        let outcome = match (parts.extensions.get(), &body, &self.shared.settings.outcome) {
            (Some(outcome), _, _) => *outcome,
            (None, AnswerBody::Failed(..), _) => Outcome::Unknown,
            (None, _, Some(outcome)) => outcome(&parts),
            (None, _, None) => Outcome::of(parts.status, grpc_status),
        };
        let settlement = match outcome {
            Outcome::Retryable => Settlement::Release,
            Outcome::Unknown => Settlement::Abandon,
            Outcome::Final => {
                if body.whole().is_none() {
                    events::body_omitted(self.claim.name());
                }
                let effects = parts.extensions.get().copied();
                let effects = effects.unwrap_or_else(|| Effects::of(parts.status, grpc_status));
                Settlement::Complete(self.record(&parts, body.whole()), effects)
            }
        };
        // Boxed: the exchange keeps room for it from its beginning.
        Ok(Box::new(Answer {
            parts,
            body,
            settlement,
        }))
    }

    /// Makes the settlement of an answer whose own was taken.
    ///
    /// `answer` is not changed: it is `&mut` so that nobody's body need be `Sync`.
    pub(crate) fn settlement_again<B: Body>(&self, answer: &mut Answer<B>) -> Settlement {
        match answer.settlement {
            Settlement::Complete(_, effects) => {
                let record = self.record(&answer.parts, answer.body.whole());
                Settlement::Complete(record, effects)
            }
            Settlement::Release => Settlement::Release,
            Settlement::Abandon => Settlement::Abandon,
        }
    }

    fn record(&self, parts: &response::Parts, whole: Option<&Buffered>) -> Bytes {
        let (settings, name) = (&self.shared.settings, self.claim.name());
        replay::record(settings, name, self.fingerprint, parts, whole)
    }

    /// Settles the claim, or leaves that to a task while the client gets its answer.
    ///
    /// `again` makes the settlement once more, for a store that fails: a record of which a copy is
    /// kept for that takes an allocation and 32 bytes more, for as long as the store keeps it.
    pub(crate) async fn settle(
        &mut self,
        settlement: Settlement,
        mut again: impl FnMut(&Self) -> Settlement,
    ) -> Result<(), Rejection> {
        let Some((permit, Some(renewing))) = self.held.take() else {
            self.shared.clean_up(*self.claim, settlement);
            telemetry::answered("degraded");
            return Ok(());
        };
        // The handler has ended: what a renewal finds from now on is no news to anyone.
        renewing.lease().end();
        if !settlement.is_final() && self.is_superseded(renewing.lease()).await {
            events::superseded(self.claim.name());
            return Err(Rejection::Superseded);
        }
        let outcome = settlement.outcome();
        let mut settled = settlement.apply(&*self.shared.store, self.claim).await;
        // A process that stood still until its lease had passed may have lost the call with it, as
        // too late, and the key too: another call tells.
        if settled.is_err() && renewing.lease().has_lapsed() {
            settled = again(self).apply(&*self.shared.store, self.claim).await;
        }
        match settled {
            Ok(Completion::Superseded) => {
                events::superseded(self.claim.name());
                Err(Rejection::Superseded)
            }
            Ok(Completion::Undone) => Err(Rejection::StoreUnavailable),
            Ok(Completion::Kept) => {
                telemetry::answered(outcome);
                Ok(())
            }
            Err(_) => {
                telemetry::answered(outcome);
                let settlement = again(self);
                self.settle_later(settlement, permit, renewing);
                Ok(())
            }
        }
    }

    /// Says whether the key is another run's, whose answer counts then. A store does not tell that
    /// when nothing is recorded, so one that may have given the key away is asked.
    async fn is_superseded(&self, lease: &Lease) -> bool {
        lease.is_taken()
            || lease.has_lapsed()
                && matches!(self.shared.store.renew(self.claim).await, Ok(Renewal::Lost))
    }

    fn settle_later(&mut self, settlement: Settlement, permit: Permit, renewing: Renewing<S>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let until = Instant::now() + settlement.is_of_use_for(self.claim, &self.shared.settings);
        // A result is never given up lightly: its claim goes on being renewed until it is saved, and what
        // the store handed out with it is kept.
        let kept = settlement.is_final().then(|| {
            let acquired = self.acquired.as_mut();
            (
                renewing,
                acquired.map(|acquired| mem::take(&mut acquired.extensions)),
            )
        });
        let (store, claim) = (Arc::clone(&self.shared.store), *self.claim);
        runtime::spawn(&runtime, async move {
            keep_trying(&*store, &claim, &settlement, until).await;
            drop((permit, kept));
        });
    }

    /// Makes the response to the client.
    pub(crate) fn respond<B: Body>(&self, answer: Answer<B>) -> Response<ResponseBody<B>> {
        const DEGRADED: HeaderName = HeaderName::from_static("idempotency-degraded");
        let Answer {
            mut parts, body, ..
        } = answer;
        if self.acquired.is_none() {
            parts
                .headers
                .insert(DEGRADED, HeaderValue::from_static("true"));
        }
        let body = match body {
            AnswerBody::Whole(read) => ResponseBody::buffered(read),
            AnswerBody::TooLarge(read, rest) => ResponseBody::resumed(read, rest),
            AnswerBody::Failed(read, error) => ResponseBody::failed(read, error),
        };
        Response::from_parts(parts, body)
    }
}

impl<B: Body> Answer<B> {
    /// Takes out what the answer means for the key; its record is not left behind.
    pub(crate) fn take_settlement(&mut self) -> Settlement {
        match &mut self.settlement {
            Settlement::Complete(record, effects) => {
                Settlement::Complete(mem::take(record), *effects)
            }
            Settlement::Release => Settlement::Release,
            Settlement::Abandon => Settlement::Abandon,
        }
    }
}

impl<B: Body> AnswerBody<B> {
    fn whole(&self) -> Option<&Buffered> {
        match self {
            Self::Whole(body) => Some(body),
            Self::TooLarge(..) | Self::Failed(..) => None,
        }
    }
}
