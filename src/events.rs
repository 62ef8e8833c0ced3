//! What the layer tells the log: short digests, never a key, a scope, a credential or a body.
//!
//! Without the feature `tracing` all of this is nothing.

use crate::{
    record::InvalidRecord,
    record_name::RecordName,
    store::{StoreError, StoreErrorKind},
    telemetry::count,
};

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $name:expr, $($rest:tt)+) => {
        tracing::$level!(record = ?$name, $($rest)+)
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $name:expr, $($field:ident = $(%)? $value:expr,)* $message:literal) => {{
        let _ = ($name, $($value,)*);
    }};
}

pub(crate) fn credentials_changed(name: &RecordName) {
    event!(
        warn,
        name,
        "a retry came with other credentials and was refused; if tokens rotate between attempts, \
         say whose keys they are with `IdempotencyLayer::scope`"
    );
}

pub(crate) fn layered_twice(name: &RecordName) {
    event!(
        warn,
        name,
        "the idempotency layer is twice around one handler; the inner one does nothing"
    );
}

pub(crate) fn store_failed(operation: &'static str, name: &RecordName, error: &StoreError) {
    let kind = match error.kind() {
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Full => "full",
        StoreErrorKind::Corrupt => "corrupt",
    };
    count!("idempotency_store_errors_total", "operation" => operation, "kind" => kind);
    let source = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    event!(
        warn,
        name,
        operation = operation,
        error = %error,
        cause = %source,
        "the idempotency store failed"
    );
}

pub(crate) fn record_refused(name: &RecordName, reason: InvalidRecord) {
    count!("idempotency_store_errors_total", "operation" => "claim", "kind" => "corrupt");
    event!(error, name, reason = %reason, "a stored record cannot be replayed");
}

pub(crate) fn took_over(name: &RecordName, attempt: u32) {
    count!("idempotency_takeovers_total");
    event!(
        warn,
        name,
        attempt = attempt,
        "a request runs again: the outcome of an earlier attempt is unknown"
    );
}

pub(crate) fn lease_lost(name: &RecordName) {
    count!("idempotency_leases_lost_total");
    event!(warn, name, "a running handler lost its lease");
}

pub(crate) fn superseded(name: &RecordName) {
    event!(
        warn,
        name,
        "a late answer was dropped: another request took over"
    );
}

pub(crate) fn body_omitted(name: &RecordName) {
    count!("idempotency_bodies_omitted_total");
    event!(
        debug,
        name,
        "an answer is recorded without its body, which is too long or broke off"
    );
}

pub(crate) fn ran_without_store(name: &RecordName) {
    event!(warn, name, "a request runs without the idempotency store");
}

/// What the Redis store tells: it has no record to name.
#[cfg(feature = "redis")]
mod redis {
    use redis::ConnectionAddr;

    #[cfg(feature = "tracing")]
    macro_rules! note {
        ($level:ident, $field:ident = $value:expr, $message:literal) => {
            tracing::$level!($field = %$value, $message)
        };
    }

    #[cfg(not(feature = "tracing"))]
    macro_rules! note {
        ($level:ident, $field:ident = $value:expr, $message:literal) => {{
            let _ = $value;
        }};
    }

    pub(crate) fn redis_unsafe(warning: &str) {
        note!(
            warn,
            warning = warning,
            "the Redis server may lose what it acknowledged"
        );
    }

    pub(crate) fn redis_lost(address: &ConnectionAddr) {
        note!(
            warn,
            address = address,
            "the connection to the Redis server was lost"
        );
    }

    pub(crate) fn redis_connected(address: &ConnectionAddr) {
        note!(
            info,
            address = address,
            "connected to the Redis server again"
        );
    }
}

#[cfg(feature = "redis")]
pub(crate) use self::redis::{redis_connected, redis_lost, redis_unsafe};

/// What transactional stores tell.
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "sqlx"))]
pub(crate) fn undone(name: &RecordName, reason: impl std::fmt::Display) {
    event!(
        warn,
        name,
        reason = %reason,
        "a handler's transaction was rolled back, or may have been; its client is told to try again"
    );
}
