//! What the layer tells the log: short digests, never a key, a scope, a credential or a body.
//!
//! Without the feature `tracing` all of this is nothing.

use crate::{
    admin::{Force, Forgotten, Page, Repair, Repaired},
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

/// What is done by hand.
pub(crate) fn looked_at(name: &RecordName) {
    event!(debug, name, "an operator looked at a record");
}

pub(crate) fn response_shown(name: &RecordName) {
    event!(info, name, "an operator was shown a recorded response");
}

pub(crate) fn forgotten(name: &RecordName, force: Force, forgotten: Forgotten) {
    let forced = force == Force::Yes;
    match forgotten {
        Forgotten::Forgotten => event!(
            warn,
            name,
            forced = forced,
            "an operator had a record forgotten"
        ),
        Forgotten::Absent => refused_by_hand("forget", name, "nothing is kept there"),
        Forgotten::InFlight => refused_by_hand("forget", name, "its owner is at work"),
    }
}

pub(crate) fn repaired(repair: &Repair, repaired: Repaired) {
    let name = repair.name();
    match repaired {
        Repaired::Recorded => event!(
            warn,
            name,
            fence = repair.fence(),
            "an operator recorded an answer by hand"
        ),
        Repaired::Absent => refused_by_hand("repair", name, "nothing is kept there"),
        Repaired::InFlight => refused_by_hand("repair", name, "its owner is at work"),
        Repaired::Completed => refused_by_hand("repair", name, "an answer is recorded"),
        Repaired::Changed => refused_by_hand("repair", name, "another run took over"),
    }
}

fn refused_by_hand(act: &'static str, name: &RecordName, reason: &'static str) {
    event!(
        info,
        name,
        act = act,
        reason = reason,
        "what an operator asked for was not done"
    );
}

pub(crate) fn listed(page: &Page) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        entries = page.entries.len(),
        unreadable = page.unreadable,
        "an operator listed records"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = page;
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
