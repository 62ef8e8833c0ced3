//! What can be measured of keyed requests: metrics, and the fields of the span around each.
//!
//! Without the features `metrics` and `tracing` all of this is nothing.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::runtime::Instant;

/// Records a field of the current request's span.
#[cfg(feature = "tracing")]
macro_rules! field {
    ($name:expr, $value:expr) => {{
        tracing::Span::current().record($name, $value);
    }};
}

#[cfg(not(feature = "tracing"))]
macro_rules! field {
    ($name:expr, $value:expr) => {{
        let _ = ($name, $value);
    }};
}

/// Adds to a counter.
#[cfg(feature = "metrics")]
macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)*) => {
        metrics::counter!($name $(, $label => $value)*).increment(1)
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)*) => {{
        $(let _ = $value;)*
    }};
}

/// Changes a gauge by a number that a `f64` holds exactly.
#[cfg(feature = "metrics")]
macro_rules! change {
    ($name:literal, $by:expr) => {
        metrics::gauge!($name).increment($by)
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! change {
    ($name:literal, $by:expr) => {{
        let _ = $by;
    }};
}

/// Puts a value into a histogram.
#[cfg(feature = "metrics")]
macro_rules! observe {
    ($name:literal, $value:expr $(, $label:literal => $labelled:expr)*) => {
        metrics::histogram!($name $(, $label => $labelled)*).record($value)
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! observe {
    ($name:literal, $value:expr $(, $label:literal => $labelled:expr)*) => {{
        let _ = $value;
        $(let _ = $labelled;)*
    }};
}

pub(crate) use {change, count};

/// Makes the span of a keyed request; its fields are known later.
#[cfg(feature = "tracing")]
pub(crate) fn span() -> tracing::Span {
    use tracing::field::Empty;

    tracing::info_span!(
        "idempotency",
        record = Empty,
        outcome = Empty,
        attempt = Empty,
        claim_ms = Empty,
        wait_ms = Empty,
        handler_ms = Empty,
        settle_ms = Empty,
        error.type = Empty,
    )
}

/// Notes which record a request is about.
pub(crate) fn began(name: &crate::RecordName) {
    #[cfg(feature = "tracing")]
    field!("record", tracing::field::debug(name));
    #[cfg(not(feature = "tracing"))]
    let _ = name;
}

/// Notes that the handler runs.
pub(crate) fn runs(attempt: u32) {
    field!("attempt", attempt);
}

/// Notes how a request was answered by the handler or from the record.
pub(crate) fn answered(outcome: &'static str) {
    field!("outcome", outcome);
    count!("idempotency_requests_total", "outcome" => outcome);
}

/// Notes that the layer answered a request itself.
pub(crate) fn refused(code: &'static str) {
    field!("error.type", code);
    answered(code);
}

/// Measures time, where a feature asks for it.
pub(crate) struct Stopwatch {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    start: Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            start: Instant::now(),
        }
    }

    /// Notes that the store answered an operation.
    pub(crate) fn store_answered(self, operation: &'static str) {
        let seconds = self.seconds();
        observe!("idempotency_store_seconds", seconds, "operation" => operation);
        // A renewal is outside of the request, and of its span.
        let field = if operation == "claim" {
            "claim_ms"
        } else {
            "settle_ms"
        };
        field!(field, seconds * 1e3);
    }

    /// Notes that the handler answered, and its body was read.
    pub(crate) fn handler_ended(self) {
        let seconds = self.seconds();
        observe!("idempotency_handler_seconds", seconds);
        field!("handler_ms", seconds * 1e3);
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Stopwatch {
    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

#[cfg(not(any(feature = "metrics", feature = "tracing")))]
impl Stopwatch {
    #[allow(clippy::unused_self, reason = "nobody asks")]
    const fn seconds(&self) -> f64 {
        0.0
    }
}

/// Measures how long a request waits for another, however that ends.
pub(crate) struct Waited(Stopwatch);

impl Waited {
    pub(crate) fn start() -> Self {
        Self(Stopwatch::start())
    }
}

impl Drop for Waited {
    fn drop(&mut self) {
        let seconds = self.0.seconds();
        observe!("idempotency_wait_seconds", seconds);
        field!("wait_ms", seconds * 1e3);
    }
}
