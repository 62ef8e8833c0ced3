use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use crate::{
    digest::{Digester, Purpose},
    guard::Guard,
    key::IdempotencyKey,
    lease::Lease,
    record_name::RecordName,
    store::Acquired,
};

/// What a handler can see of the keyed request that it carries out.
///
/// It is in the request's extensions, and with the feature `axum` it is an extractor. A request
/// without a key has none.
///
/// ```
/// use http::{Request, Response};
/// use tower_idempotency::IdempotencyContext;
///
/// async fn charge<B>(request: Request<B>) -> Response<String> {
///     let context = request.extensions().get::<IdempotencyContext>().expect("require_key is set");
///     // The same for every attempt at this request: the bank can tell a repetition too.
///     let bank_key = context.downstream_key("bank");
///     Response::new(format!("attempt {}, {bank_key}", context.attempt()))
/// }
/// ```
#[derive(Clone)]
pub struct IdempotencyContext {
    key: IdempotencyKey,
    name: RecordName,
    fence: Option<u64>,
    attempt: u32,
    guard: Option<Guard>,
    effect_committed: bool,
    /// `None` without the store.
    lease: Option<Arc<Lease>>,
}

impl IdempotencyContext {
    /// Makes the context of a run; nothing was acquired without the store.
    pub(crate) fn new(
        key: IdempotencyKey,
        name: RecordName,
        acquired: Option<&Acquired>,
        lease: Option<Arc<Lease>>,
    ) -> Self {
        Self {
            key,
            name,
            fence: acquired.map(|acquired| acquired.fence),
            attempt: acquired.map_or(1, |acquired| acquired.attempt),
            guard: acquired.and_then(|acquired| acquired.guard.clone()),
            effect_committed: acquired.is_some_and(|acquired| acquired.effect_committed),
            lease,
        }
    }

    /// Returns the client's key.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Returns the name under which the store knows the key.
    #[must_use]
    pub fn record_name(&self) -> &RecordName {
        &self.name
    }

    /// Returns the fencing number: it grows with every owner of the key until the record expires, and
    /// two runs that can overlap within that time never share one.
    ///
    /// A resource that remembers the highest number it has seen can refuse a run that lost its
    /// key without noticing. `None` where the store could not be reached and
    /// [`StoreFailure::FailOpen`](crate::StoreFailure::FailOpen) let the request run all the same.
    #[must_use]
    pub fn fence(&self) -> Option<u64> {
        self.fence
    }

    /// Returns which attempt at the work this is, from 1.
    ///
    /// Above 1, an earlier attempt's outcome is unknown: look whether it had its effect.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the statement that ties a transaction of the handler's own to this run, where the
    /// store keeps its claims in a SQL database and is not itself transactional.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// Returns whether an earlier attempt committed its effect under its [`guard`](Self::guard),
    /// and ended before its answer was recorded: answer from what it wrote, and do nothing again.
    #[must_use]
    pub fn effect_committed(&self) -> bool {
        self.effect_committed
    }

    /// Returns a token that is cancelled when this run may no longer be the key's only one: its
    /// lease was lost, or it ran longer than `max_execution`.
    #[must_use]
    pub fn lease_lost(&self) -> CancellationToken {
        self.lease
            .as_ref()
            .map_or_else(CancellationToken::new, |lease| lease.lost())
    }

    /// Derives a key for a call further down, the same for every attempt at this request.
    ///
    /// The key is a UUID of version 8 (RFC 9562), a digest of the namespace, the scope, the client's
    /// key and `call`, under the layer's secret where there is one; it tells nothing of them. Two
    /// calls need two names.
    #[must_use]
    pub fn downstream_key(&self, call: &str) -> String {
        let mut digest = Digester::Plain.start(Purpose::DownstreamKey);
        digest.field(self.name.as_bytes());
        digest.field(call.as_bytes());
        uuid_v8(digest.finish())
    }
}

fn uuid_v8(digest: [u8; 32]) -> String {
    let mut uuid = String::with_capacity(36);
    for (index, byte) in digest.into_iter().take(16).enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        let byte = match index {
            6 => byte & 0x0f | 0x80,
            8 => byte & 0x3f | 0x80,
            _ => byte,
        };
        write!(uuid, "{byte:02x}").expect("a String takes all that is written");
    }
    uuid
}

impl fmt::Debug for IdempotencyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyContext")
            .field("record_name", &self.name)
            .field("fence", &self.fence)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "axum")]
mod extractor {
    use std::convert::Infallible;

    use axum::extract::{FromRequestParts, OptionalFromRequestParts};
    use http::{StatusCode, request};

    use super::IdempotencyContext;

    /// Rejects with 500 where the request carries no key or the route no layer: set
    /// [`require_key`](crate::IdempotencyLayer::require_key), or extract an `Option`.
    impl<S: Send + Sync> FromRequestParts<S> for IdempotencyContext {
        type Rejection = (StatusCode, &'static str);

        async fn from_request_parts(
            parts: &mut request::Parts,
            _: &S,
        ) -> Result<Self, Self::Rejection> {
            parts.extensions.get().cloned().ok_or((
                StatusCode::INTERNAL_SERVER_ERROR,
                "no idempotency context: the layer is missing, or the request has no key",
            ))
        }
    }

    impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyContext {
        type Rejection = Infallible;

        async fn from_request_parts(
            parts: &mut request::Parts,
            _: &S,
        ) -> Result<Option<Self>, Infallible> {
            Ok(parts.extensions.get().cloned())
        }
    }
}
