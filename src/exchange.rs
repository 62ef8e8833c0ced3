//! One keyed request, top to bottom.

use std::{future::poll_fn, panic, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header, request};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{Buffered, Read, RequestBody, ResponseBody},
    events,
    fingerprint::Fingerprint,
    hang_up::HangUp,
    keyed::Keyed,
    panics::catch_panic,
    permits::Permit,
    record::Record,
    record_name::RecordName,
    rejection::{Rejection, is_grpc},
    replay,
    run::{Run, Start},
    runtime::{self, Instant},
    settings::StoreFailure,
    settle::Settlement,
    shared::Shared,
    store::{Changed, Claim, Claimed, OwnerToken, Store, StoreErrorKind},
    telemetry::{self, Stopwatch, Waited},
};

/// A keyed request on its way.
pub(crate) struct Exchange<S> {
    shared: Arc<Shared<S>>,
    keyed: Keyed,
    claim: Claim,
    hang_up: Arc<HangUp>,
}

/// How long a waiting request leaves the store alone at least, whatever wakes it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// Why an exchange ends without an answer of the inner service or a record.
pub(crate) enum Stop<E> {
    Rejected(Rejection),
    /// The inner service's own error.
    Failed(E),
}

impl<E> From<Rejection> for Stop<E> {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// What there is to do once the store has spoken.
enum Turn {
    Run(Permit, Start),
    Replay(Record),
}

/// What a claim found.
enum Found {
    Nothing(Start),
    Record(Record),
    /// Another owner, with the time left to it where the store knows that.
    Owner(Option<Duration>),
}

impl<S: Store> Exchange<S> {
    pub(crate) fn new(
        shared: Arc<Shared<S>>,
        keyed: Keyed,
        name: RecordName,
        hang_up: Arc<HangUp>,
    ) -> Self {
        let settings = &shared.settings;
        // A lease longer than the ttl would outlive what it protects.
        let lease = settings.lease.min(settings.ttl);
        let claim = Claim::new(name, OwnerToken::random(), lease, settings.ttl);
        Self {
            shared,
            keyed,
            claim,
            hang_up,
        }
    }

    /// Answers the request: from the record, from the inner service, or with a rejection.
    ///
    /// `inner` is the service that was polled ready.
    #[allow(
        clippy::manual_async_fn,
        reason = "an `async fn` would keep two copies of its arguments"
    )]
    pub(crate) fn answer<I, B, R>(
        self,
        mut inner: I,
        parts: request::Parts,
        body: B,
    ) -> impl Future<Output = Result<Response<ResponseBody<R>>, I::Error>>
    where
        I: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
        B: Body<Data = Bytes>,
        R: Body<Data = Bytes>,
    {
        async move {
            let settings = &self.shared.settings;
            let grpc = is_grpc(&parts.headers);
            let refuse = |rejection| {
                self.shared
                    .reject(rejection, grpc)
                    .map(ResponseBody::buffered)
            };

            let body = match read(&parts.headers, body, settings.max_request_bytes).await {
                Ok(body) => body,
                Err(rejection) => return Ok(refuse(rejection)),
            };
            let fingerprint = self.keyed.fingerprint(settings, &parts, &body);
            let (permit, start) = match self.take_turn(&mut inner, &fingerprint).await {
                Ok(Turn::Run(permit, start)) => (permit, start),
                Ok(Turn::Replay(record)) => {
                    return Ok(match replay::replay(record, grpc) {
                        Ok(replay) => {
                            telemetry::replayed();
                            replay.map(ResponseBody::buffered)
                        }
                        Err(rejection) => refuse(rejection),
                    });
                }
                Err(Stop::Rejected(rejection)) => return Ok(refuse(rejection)),
                Err(Stop::Failed(error)) => return Err(error),
            };
            let mut run = Run::new(&self.shared, &self.claim, &fingerprint, permit, start);
            if self.hang_up.happened() {
                // A client that left before its handler started gets nothing done, nor reads this.
                // The permit is kept meanwhile: a drained server leaves no such claim behind.
                let settled = run.settle(Settlement::Release, |_| Settlement::Release);
                let settled = settled.await;
                return Ok(refuse(settled.err().unwrap_or(Rejection::InFlight)));
            }
            let request = Request::from_parts(parts, RequestBody::buffered(body));
            let stopwatch = Stopwatch::start();
            let mut answered = match run.call(&mut inner, request, self.keyed.key) {
                Ok(response) => catch_panic(run.read(response)).await,
                Err(panic) => Err(panic),
            };
            stopwatch.handler_ended();
            let settlement = match &mut answered {
                Ok(Ok(answer)) => answer.take_settlement(),
                Ok(Err(_)) | Err(_) => Settlement::Abandon,
            };
            let settled = run.settle(settlement, |run| match &mut answered {
                Ok(Ok(answer)) => run.settlement_again(answer),
                Ok(Err(_)) | Err(_) => Settlement::Abandon,
            });
            let settled = settled.await;
            match (answered, settled) {
                (Err(panic), _) => panic::resume_unwind(panic),
                (Ok(Err(error)), _) => Err(error),
                (Ok(Ok(_)), Err(rejection)) => Ok(refuse(rejection)),
                (Ok(Ok(answer)), Ok(())) => Ok(run.respond(*answer)),
            }
        }
    }

    /// Claims the key, and waits for its owner where there is one and the user asked for that.
    async fn take_turn<I, Q>(
        &self,
        inner: &mut I,
        fingerprint: &Fingerprint,
    ) -> Result<Turn, Stop<I::Error>>
    where
        I: Service<Q> + Clone,
    {
        let permit = self.shared.permits.try_take()?;
        let store_failure = self.shared.settings.store_failure;
        match self.claim(fingerprint, store_failure).await? {
            Found::Nothing(start) => return Ok(Turn::Run(permit, start)),
            Found::Record(record) => return Ok(Turn::Replay(record)),
            Found::Owner(_) => {}
        }
        // Boxed: few requests wait, and all would be as large as those that do.
        Box::pin(self.wait(inner, fingerprint, permit)).await
    }

    async fn wait<I, Q>(
        &self,
        inner: &mut I,
        fingerprint: &Fingerprint,
        mut permit: Permit,
    ) -> Result<Turn, Stop<I::Error>>
    where
        I: Service<Q> + Clone,
    {
        let (deadline, _place) = self.shared.begin_waiting()?;
        let _waited = Waited::start();
        loop {
            let earliest_next = Instant::now() + SHORTEST_PAUSE;
            // Listening begins before the claim, so that no change after it is missed.
            let changed = self.shared.store.changed(self.claim.name());
            // Without the store, the owner that was there may be at work still.
            let left = match self.claim(fingerprint, StoreFailure::FailClosed).await? {
                Found::Nothing(start) => return Ok(Turn::Run(permit, start)),
                Found::Record(record) => return Ok(Turn::Replay(record)),
                Found::Owner(left) => left,
            };
            // Whoever waits holds nothing that others need.
            drop(permit);
            *inner = inner.clone();
            self.sleep(changed, left, deadline).await?;
            runtime::sleep_until(earliest_next).await;
            if Instant::now() >= deadline {
                return Err(Rejection::InFlight.into());
            }
            permit = self.shared.permits.take_by(deadline).await?;
            let ready = poll_fn(|cx| inner.poll_ready(cx));
            match runtime::timeout_at(deadline, ready).await {
                Ok(ready) => ready.map_err(Stop::Failed)?,
                Err(_) => return Err(Rejection::Overloaded.into()),
            }
        }
    }

    /// Claims the key once.
    ///
    /// Only an owner found leaves the exchange to its client again: everything else may have made
    /// a claim, which has to be settled.
    async fn claim(
        &self,
        fingerprint: &Fingerprint,
        store_failure: StoreFailure,
    ) -> Result<Found, Rejection> {
        let settings = &self.shared.settings;
        self.hang_up.outlive();
        let sent = Instant::now();
        let claimed = self
            .shared
            .store
            .claim(&self.claim, fingerprint, settings.unknown_outcome)
            .await;
        Stopwatch::since(sent).claim_answered(self.claim.name());
        match claimed {
            Ok(Claimed::Acquired(acquired)) => {
                // By our own clock, the lease of an answer this late may pass, or be given up for lost,
                // before it is renewed, which happens within a third of it.
                if Instant::now() >= sent + self.claim.lease() * 2 / 5 {
                    self.shared.clean_up(self.claim, Settlement::Release);
                    return Err(Rejection::StoreUnavailable);
                }
                Ok(Found::Nothing(Start::Claimed { acquired, sent }))
            }
            Ok(Claimed::Held {
                fingerprint: theirs,
                left,
            }) => {
                if let Some(theirs) = theirs {
                    self.compare(fingerprint, &theirs)?;
                }
                self.hang_up.end_with_client();
                // A client that left meanwhile waits for nothing, nor reads this.
                if self.hang_up.happened() {
                    return Err(Rejection::InFlight);
                }
                Ok(Found::Owner(left))
            }
            Ok(Claimed::Unknown {
                fingerprint: theirs,
                effect_committed,
            }) => {
                self.compare(fingerprint, &theirs)?;
                Err(if effect_committed {
                    Rejection::EffectCommitted
                } else {
                    Rejection::OutcomeUnknown
                })
            }
            Ok(Claimed::Completed(record)) => {
                let record = Record::decode(self.claim.name(), record).map_err(|reason| {
                    events::record_refused(self.claim.name(), reason);
                    Rejection::StoreUnavailable
                })?;
                self.compare(fingerprint, &record.fingerprint)?;
                Ok(Found::Record(record))
            }
            Err(error) => {
                events::store_failed("claim", self.claim.name(), &error);
                let unreachable = error.kind() == StoreErrorKind::Unavailable;
                if unreachable && store_failure == StoreFailure::FailOpen {
                    events::ran_without_store(self.claim.name());
                    return Ok(Found::Nothing(Start::Degraded));
                }
                if error.kind() != StoreErrorKind::Full {
                    self.shared.clean_up(self.claim, Settlement::Release);
                }
                Err(Rejection::StoreUnavailable)
            }
        }
    }

    fn compare(&self, ours: &Fingerprint, theirs: &Fingerprint) -> Result<(), Rejection> {
        if ours == theirs {
            Ok(())
        } else if ours.differs_in_credentials_only(theirs) {
            let name = self.claim.name();
            let warned = &self.shared.warned.credentials_changed;
            warned.get_or_init(|| events::credentials_changed(name));
            Err(Rejection::CredentialsChanged)
        } else {
            Err(Rejection::FingerprintMismatch)
        }
    }

    /// Sleeps until the owner has finished, as far as anyone can tell.
    async fn sleep(
        &self,
        changed: Changed,
        left: Option<Duration>,
        deadline: Instant,
    ) -> Result<(), Rejection> {
        let lapses = left.map_or(deadline, |left| {
            Instant::now() + left.clamp(Claim::MIN, Claim::MAX_LEASE)
        });
        tokio::select! {
            () = changed => Ok(()),
            () = runtime::sleep_until(lapses.min(deadline)) => Ok(()),
            () = self.shared.permits.draining() => Err(Rejection::Draining),
        }
    }
}

/// Reads the request body; nothing is claimed before it is whole.
async fn read<B>(headers: &HeaderMap, body: B, limit: usize) -> Result<Buffered, Rejection>
where
    B: Body<Data = Bytes>,
{
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Rejection::PayloadTooLarge);
    }
    match Buffered::read(pin!(body), limit).await {
        Read::Whole(body) => Ok(body),
        Read::TooLarge(_) => Err(Rejection::PayloadTooLarge),
        Read::Failed(..) => Err(Rejection::UnreadableBody),
    }
}
