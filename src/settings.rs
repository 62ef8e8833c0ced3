use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Method, Response, Uri, header, request, response};

use crate::{
    digest::Digester,
    outcome::{Outcome, UnknownOutcome},
    rejection::Rejection,
    scope::Scope,
};

/// Says what happens to a keyed request when the store cannot be reached before its handler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StoreFailure {
    /// The request is refused with 503 `store-unavailable`; nothing runs.
    #[default]
    FailClosed,
    /// The request runs without the store, and twice if it is sent twice. Its response is marked
    /// `Idempotency-Degraded: true`. Only where the store is *unavailable*: one that is full or
    /// corrupt still refuses, and a request that waits for another is refused too.
    FailOpen,
}

/// What an `IdempotencyLayer` was told.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) header: HeaderName,
    pub(crate) covers: Covers,
    pub(crate) require_key: bool,
    pub(crate) principal: Principal,
    pub(crate) target: Target,
    pub(crate) canonical: Option<Canonical>,
    pub(crate) namespace: String,
    pub(crate) digester: Digester,
    pub(crate) ttl: Duration,
    pub(crate) lease: Duration,
    pub(crate) max_execution: Duration,
    pub(crate) wait: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_waiting: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_response_bytes: usize,
    pub(crate) outcome: Option<OutcomeRule>,
    pub(crate) unknown_outcome: UnknownOutcome,
    pub(crate) store_failure: StoreFailure,
    pub(crate) replay_headers: Option<HeaderFilter>,
    pub(crate) problem_base: String,
    pub(crate) on_rejection: Option<OnRejection>,
}

/// What tells callers apart.
#[derive(Clone)]
pub(crate) enum Principal {
    /// The digest of what the request's credentials are in.
    Credentials(Credentials),
    /// What the user's function returns.
    Scope(ScopeOf),
    /// Nothing: all callers share their keys.
    Unscoped,
}

/// Where a request's credentials are.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) headers: Vec<HeaderName>,
    /// The cookies that count, or all of them.
    pub(crate) cookies: Option<Vec<String>>,
}

type Covers = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;
type ScopeOf = Arc<dyn Fn(&request::Parts) -> Option<Scope> + Send + Sync>;
type Target = Arc<dyn Fn(&request::Parts) -> Uri + Send + Sync>;
type Canonical = Arc<dyn Fn(&request::Parts, &Bytes) -> Vec<u8> + Send + Sync>;
type OutcomeRule = Arc<dyn Fn(&response::Parts) -> Outcome + Send + Sync>;
type HeaderFilter = Arc<dyn Fn(&HeaderName) -> bool + Send + Sync>;
type OnRejection = Arc<dyn Fn(&Rejection, &mut Response<Bytes>) + Send + Sync>;

impl Default for Settings {
    fn default() -> Self {
        Self {
            header: HeaderName::from_static("idempotency-key"),
            covers: Arc::new(|parts| {
                [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&parts.method)
            }),
            require_key: false,
            principal: Principal::Credentials(Credentials::default()),
            target: Arc::new(original_uri),
            canonical: None,
            namespace: String::new(),
            digester: Digester::Plain,
            ttl: Duration::from_secs(24 * 60 * 60),
            lease: Duration::from_secs(10),
            max_execution: Duration::from_secs(15 * 60),
            wait: Duration::ZERO,
            max_in_flight: 1024,
            max_waiting: 10_000,
            max_request_bytes: 1024 * 1024,
            max_response_bytes: 1024 * 1024,
            outcome: None,
            unknown_outcome: UnknownOutcome::Retry,
            store_failure: StoreFailure::FailClosed,
            replay_headers: None,
            problem_base: String::from(
                "https://docs.rs/tower-idempotency/latest/tower_idempotency/enum.Rejection.html#",
            ),
            on_rejection: None,
        }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            headers: vec![
                header::AUTHORIZATION,
                header::COOKIE,
                HeaderName::from_static("x-api-key"),
                HeaderName::from_static("api-key"),
                HeaderName::from_static("x-auth-token"),
            ],
            cookies: None,
        }
    }
}

/// Returns the target as the client sent it: axum strips what a nested router was mounted at.
fn original_uri(parts: &request::Parts) -> Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.clone();
    }
    parts.uri.clone()
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("header", &self.header)
            .field("require_key", &self.require_key)
            .field("namespace", &self.namespace)
            .field("digester", &self.digester)
            .field("ttl", &self.ttl)
            .field("lease", &self.lease)
            .field("max_execution", &self.max_execution)
            .field("wait", &self.wait)
            .field("max_in_flight", &self.max_in_flight)
            .field("max_waiting", &self.max_waiting)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("max_response_bytes", &self.max_response_bytes)
            .field("unknown_outcome", &self.unknown_outcome)
            .field("store_failure", &self.store_failure)
            .finish_non_exhaustive()
    }
}
