use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Response, Uri, header, request, response};
use tower_layer::Layer;

use crate::{
    digest::Digester,
    drain::Drain,
    outcome::{Outcome, UnknownOutcome},
    permits::Permits,
    record_names::RecordNames,
    rejection::Rejection,
    scope::Scope,
    service::Idempotency,
    settings::{Credentials, Principal, Settings, StoreFailure},
    shared::Shared,
    store::{Claim, Store},
    telemetry,
};

/// Puts [`Idempotency`] around services: a request that is sent twice under one key is carried out
/// once and answered twice.
///
/// All services of one layer, and of its clones, share one store and one bound on what is in flight.
/// Set it up first, then clone it.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::post};
/// use tower_idempotency::{IdempotencyLayer, MemoryStore};
///
/// let layer = IdempotencyLayer::new(MemoryStore::new())
///     .require_key()
///     .ttl(Duration::from_secs(60 * 60))
///     .wait(Duration::from_secs(5));
/// let app: Router = Router::new().route("/charge", post(|| async { "charged" })).layer(layer);
/// ```
///
/// # Whose key is it?
///
/// Unless told otherwise, the layer takes the request's credentials (`Authorization`, `Cookie`,
/// `X-Api-Key`, `Api-Key`, `X-Auth-Token`) for the caller: the same key with other credentials is
/// refused. Requests with none of them count as one caller. Where tokens rotate between attempts,
/// or callers are known by something else, say who the caller is with [`scope`](Self::scope).
///
/// # Where to put it
///
/// From the outside in: tracing, catch-panic, timeout, compression and CORS, authentication, rate
/// limit, **idempotency**, whatever sets task-locals, the handler. A timeout inside kills the
/// handler half-way; compression inside records bytes that the next client may not accept;
/// authentication inside lets anyone replay.
pub struct IdempotencyLayer<S> {
    shared: Arc<Shared<S>>,
}

impl<S: Store> IdempotencyLayer<S> {
    /// Makes a layer on a store, with the defaults that each setter names.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            shared: Arc::new(Shared::new(store)),
        }
    }

    /// Reads the key from another header field. Default: `Idempotency-Key`.
    ///
    /// # Panics
    ///
    /// When the name is not one of a header field (RFC 9110, section 5.1).
    #[must_use]
    pub fn header<N>(self, name: N) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
    {
        let name = header_name(name);
        self.set(|settings| settings.header = name)
    }

    /// Chooses the requests that the layer looks at; it forwards all others untouched.
    /// Default: those with the method POST, PUT, PATCH or DELETE.
    ///
    /// Keep out what streams, such as gRPC's streaming methods: the layer reads a request whole
    /// before the handler starts.
    #[must_use]
    pub fn covers(self, covers: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.covers = Arc::new(covers))
    }

    /// Refuses a covered request without a key with 400 `missing-key`.
    /// Default: it is forwarded untouched.
    #[must_use]
    pub fn require_key(self) -> Self {
        self.set(|settings| settings.require_key = true)
    }

    /// Says whose key it is: the principal or tenant, from what an outer layer put into the
    /// request's extensions, say. Where the function returns `None`, the request is refused with
    /// 403 `missing-principal`. Default: the credentials tell callers apart.
    ///
    /// ```
    /// # use tower_idempotency::{IdempotencyLayer, MemoryStore, Scope};
    /// #[derive(Clone)]
    /// struct User { tenant: String, id: u64 }
    ///
    /// let layer = IdempotencyLayer::new(MemoryStore::new()).scope(|parts| {
    ///     let user = parts.extensions.get::<User>()?;
    ///     Some(Scope::new(&user.tenant).and(user.id.to_string()))
    /// });
    /// ```
    #[must_use]
    pub fn scope(
        self,
        scope: impl Fn(&request::Parts) -> Option<Scope> + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.principal = Principal::Scope(Arc::new(scope)))
    }

    /// Lets all callers share their keys, whatever their credentials: for a service with one
    /// caller, or none that can be told apart. Default: the credentials tell callers apart.
    #[must_use]
    pub fn unscoped(self) -> Self {
        self.set(|settings| settings.principal = Principal::Unscoped)
    }

    /// Names the header fields that tell callers apart. Default: `Authorization`, `Cookie`,
    /// `X-Api-Key`, `Api-Key` and `X-Auth-Token`. Undoes [`scope`](Self::scope) and
    /// [`unscoped`](Self::unscoped).
    ///
    /// # Panics
    ///
    /// When a name is not one of a header field, or there is none: say
    /// [`unscoped`](Self::unscoped) where you mean that.
    #[must_use]
    pub fn credential_headers<N>(self, names: impl IntoIterator<Item = N>) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
    {
        let names: Vec<_> = names.into_iter().map(header_name).collect();
        assert!(
            !names.is_empty(),
            "`credential_headers` needs a name; for none, use `unscoped`"
        );
        self.set_credentials(|credentials| credentials.headers = names)
    }

    /// Names the cookies that tell callers apart, such as the session's. Default: all of them,
    /// so that a changed preference makes another caller. Undoes [`scope`](Self::scope) and
    /// [`unscoped`](Self::unscoped).
    ///
    /// # Panics
    ///
    /// When there is no name: leave `Cookie` out of
    /// [`credential_headers`](Self::credential_headers) where you mean that.
    #[must_use]
    pub fn credential_cookies<N>(self, names: impl IntoIterator<Item = N>) -> Self
    where
        N: Into<String>,
    {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        assert!(!names.is_empty(), "`credential_cookies` needs a name");
        self.set_credentials(|credentials| {
            if !credentials.headers.contains(&header::COOKIE) {
                credentials.headers.push(header::COOKIE);
            }
            credentials.cookies = Some(names);
        })
    }

    /// Says where a request went, for routers that strip what they matched from the URI.
    /// Default: axum's `OriginalUri` where the feature `axum` is on and the router set it, else
    /// the request's URI.
    ///
    /// Two requests with another target are never the same: `/accounts/1/charge` under the key
    /// of `/accounts/2/charge` is refused. The host counts too: where clients reach replicas by addresses
    /// of their own, or a proxy rewrites `Host`, return a URI with one host for all.
    #[must_use]
    pub fn target(self, target: impl Fn(&request::Parts) -> Uri + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.target = Arc::new(target))
    }

    /// Says what makes two bodies the same, in place of the content type, the content encoding
    /// and the bytes: canonical JSON, say, or a form without its multipart boundary.
    /// Default: all three, to the byte.
    ///
    /// The target with its host, the method, and without a scope the credentials count in any case.
    #[must_use]
    pub fn fingerprint(
        self,
        canonical: impl Fn(&request::Parts, &Bytes) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.canonical = Some(Arc::new(canonical)))
    }

    /// Keeps records for this long, and what is known of a run without a result for as long after
    /// its lease. Default: 24 hours. From 1 millisecond to ten years; what is beyond is clamped.
    ///
    /// It should be longer than any client goes on retrying, any handler runs and any process is paused:
    /// once it has passed, the next attempt is a first one, with attempt and fence 1.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.set(|settings| settings.ttl = ttl)
    }

    /// Holds a key for this long when its process dies. Default: 10 seconds. From 1 millisecond
    /// to one hour, and no longer than the ttl; what is beyond is clamped.
    ///
    /// A running handler's lease is renewed every third of it.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        self.set(|settings| settings.lease = lease)
    }

    /// Stops renewing the lease of a handler that has run for this long, and cancels its
    /// [`lease_lost`](crate::IdempotencyContext::lease_lost) token. Default: 15 minutes.
    /// What is over ten years is clamped.
    ///
    /// The handler itself is not stopped: a lease later, a retry may run beside it, and it keeps its place
    /// among [`max_in_flight`](Self::max_in_flight). Let it watch the token, or give what it waits for a
    /// limit.
    #[must_use]
    pub fn max_execution(self, max: Duration) -> Self {
        self.set(|settings| settings.max_execution = max.min(Claim::MAX_TTL))
    }

    /// Has a request whose key is held wait for the owner's result, for no longer than this.
    /// Default: zero, it is refused at once with 409 `in-flight`. What is over ten years is
    /// clamped.
    #[must_use]
    pub fn wait(self, max: Duration) -> Self {
        self.set(|settings| settings.wait = max.min(Claim::MAX_TTL))
    }

    /// Lets so many requests wait at once; one more is refused with 409 `in-flight`. Each holds its
    /// body in memory. Default: 10,000.
    #[must_use]
    pub fn max_waiting(self, max: usize) -> Self {
        self.set(|settings| settings.max_waiting = max).bound()
    }

    /// Lets so many keyed requests run at once; one more is refused with 503 `overloaded`.
    /// Default: 1,024. Zero is taken for one.
    ///
    /// A request counts until its handler ends, whether or not its client is still there: give what a
    /// handler waits for a limit. Each may hold a request and a response of the greatest size in memory, and
    /// the record of the response. Requests whose bodies are still being read are not counted: bound connections
    /// further out.
    #[must_use]
    pub fn max_in_flight(self, max: usize) -> Self {
        self.set(|settings| settings.max_in_flight = max).bound()
    }

    /// Refuses a keyed request with a longer body with 413 `payload-too-large`.
    /// Default: 1 MiB (1,048,576 bytes).
    #[must_use]
    pub fn max_request_bytes(self, max: usize) -> Self {
        self.set(|settings| settings.max_request_bytes = max)
    }

    /// Records a response with a longer body without it. Default: 1 MiB (1,048,576 bytes).
    ///
    /// The first client gets such a response whole, a retry its status and headers, marked
    /// `Idempotency-Replay: omitted`; of a gRPC call, status 9 with the code `not-replayable`.
    #[must_use]
    pub fn max_response_bytes(self, max: usize) -> Self {
        self.set(|settings| settings.max_response_bytes = max)
    }

    /// Says what an answer means for the key. Default: the table of [`Outcome`].
    #[must_use]
    pub fn outcome(
        self,
        outcome: impl Fn(&response::Parts) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.outcome = Some(Arc::new(outcome)))
    }

    /// Records every answer, whatever its status, as Stripe does. Default: the table of
    /// [`Outcome`].
    #[must_use]
    pub fn record_all(self) -> Self {
        self.outcome(|_| Outcome::Final)
    }

    /// Says what happens to a retry when an earlier attempt's outcome is unknown.
    /// Default: [`UnknownOutcome::Retry`].
    #[must_use]
    pub fn unknown_outcome(self, unknown_outcome: UnknownOutcome) -> Self {
        self.set(|settings| settings.unknown_outcome = unknown_outcome)
    }

    /// Says what happens to a request when the store cannot be reached.
    /// Default: [`StoreFailure::FailClosed`].
    #[must_use]
    pub fn store_failure(self, store_failure: StoreFailure) -> Self {
        self.set(|settings| settings.store_failure = store_failure)
    }

    /// Chooses the header fields and trailers that are recorded and replayed. Default: all.
    ///
    /// Left out in any case: those of the connection (RFC 9110, section 7.6.1), `Date`,
    /// `Set-Cookie`, and `Content-Length`, which is made again. In any case there: the trailers that
    /// say how a gRPC call ended.
    #[must_use]
    pub fn replay_headers(
        self,
        filter: impl Fn(&HeaderName) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.replay_headers = Some(Arc::new(filter)))
    }

    /// Makes the `type` of a problem: this, followed by the code. Default: the page of
    /// [`Rejection`] on docs.rs.
    ///
    /// # Panics
    ///
    /// When the base has a character that no URI has (RFC 3986, section 2).
    #[must_use]
    pub fn problem_base(self, uri: impl Into<String>) -> Self {
        let uri = uri.into();
        let is_uri = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
        assert!(
            uri.bytes().all(is_uri),
            "the problem base {uri:?} is not a URI"
        );
        self.set(|settings| settings.problem_base = uri)
    }

    /// Changes the answer to a refused request: its body, say, to the shape that the rest of an
    /// API has. Default: a problem of RFC 9457. The answer to a gRPC call has no body, and must
    /// not get one.
    ///
    /// ```
    /// # use tower_idempotency::{IdempotencyLayer, MemoryStore};
    /// use http::{HeaderValue, header::CONTENT_TYPE};
    ///
    /// let layer = IdempotencyLayer::new(MemoryStore::new()).on_rejection(|why, response| {
    ///     let json = HeaderValue::from_static("application/json");
    ///     response.headers_mut().insert(CONTENT_TYPE, json);
    ///     *response.body_mut() = format!(r#"{{"error":"{}"}}"#, why.code()).into();
    /// });
    /// ```
    #[must_use]
    pub fn on_rejection(
        self,
        change: impl Fn(&Rejection, &mut Response<Bytes>) + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.on_rejection = Some(Arc::new(change)))
    }

    /// Digests keys, scopes, credentials and requests with HMAC-SHA-256 under this secret.
    /// Default: SHA-256, from which whoever reads the store can guess what has little entropy.
    ///
    /// All servers on one store need the same secret, of 32 random bytes say; a new one makes old records
    /// unreachable.
    ///
    /// # Panics
    ///
    /// When the secret is empty.
    #[must_use]
    pub fn secret(self, secret: impl AsRef<[u8]>) -> Self {
        assert!(!secret.as_ref().is_empty(), "the secret is empty");
        self.set(|settings| settings.digester = Digester::keyed(secret.as_ref()))
    }

    /// Keeps the keys of this layer apart from those of others on the same store.
    /// Default: empty.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.set(|settings| settings.namespace = namespace.into())
    }

    /// Returns what names the records of this layer, for looking into its store by
    /// [`Admin`](crate::Admin).
    ///
    /// Take it once the layer is set up: it is of the [`namespace`](Self::namespace) and the
    /// [`secret`](Self::secret) that were set by then.
    #[must_use]
    pub fn record_names(&self) -> RecordNames {
        RecordNames::of_layer(&self.shared.settings)
    }

    /// Returns what lets a server stop without losing a result.
    ///
    /// Take it once the layer is set up: [`max_in_flight`](Self::max_in_flight) and
    /// [`max_waiting`](Self::max_waiting) make the bounds anew, which an earlier handle knows
    /// nothing of.
    #[must_use]
    pub fn drain_handle(&self) -> Drain {
        Drain::new(Arc::clone(&self.shared.permits))
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut Arc::make_mut(&mut self.shared).settings);
        self
    }

    fn set_credentials(self, set: impl FnOnce(&mut Credentials)) -> Self {
        self.set(|settings| {
            let mut credentials = match &settings.principal {
                Principal::Credentials(credentials) => credentials.clone(),
                _ => Credentials::default(),
            };
            set(&mut credentials);
            settings.principal = Principal::Credentials(credentials);
        })
    }

    fn bound(mut self) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        let Settings {
            max_in_flight,
            max_waiting,
            ..
        } = shared.settings;
        shared.permits = Permits::new(max_in_flight, max_waiting);
        self
    }
}

fn header_name<N>(name: N) -> HeaderName
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
{
    name.try_into()
        .unwrap_or_else(|error| panic!("not the name of a header field: {error}"))
}

impl<I, S> Layer<I> for IdempotencyLayer<S> {
    type Service = Idempotency<I, S>;

    fn layer(&self, inner: I) -> Self::Service {
        telemetry::begin_counting();
        Idempotency::new(inner, Arc::clone(&self.shared))
    }
}

// Not derived: a store need be neither `Clone` nor `Debug`.
impl<S> Clone for IdempotencyLayer<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for IdempotencyLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencyLayer")
            .field(&self.shared.settings)
            .finish()
    }
}
