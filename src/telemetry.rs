//! What can be measured of keyed requests: metrics, and the fields of the span around each.
//!
//! Without the features `metrics` and `tracing` all of this is nothing.

use crate::{record_name::RecordName, runtime::Instant};

/// Says whether anyone may listen to spans: where nobody does, none need be looked for.
#[cfg(feature = "tracing")]
fn is_heard() -> bool {
    use tracing::level_filters::LevelFilter;

    LevelFilter::current() >= LevelFilter::INFO
}

/// Records a field of the current request's span.
#[cfg(feature = "tracing")]
macro_rules! field {
    ($name:expr, $value:expr) => {{
        if is_heard() {
            tracing::Span::current().record($name, $value);
        }
    }};
}

#[cfg(not(feature = "tracing"))]
macro_rules! field {
    ($name:expr, $value:expr) => {{
        let _ = ($name, $value);
    }};
}

/// Adds to a counter. With literal labels its key is made at compile time, which counts on the way of a replay.
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

/// Puts a value into a histogram; literal labels count here as well.
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

/// Has the counters of a layer begin at zero: to whoever looks at rates, a counter that begins at one has not
/// increased, and the first lost lease would be seen by nobody.
pub(crate) fn begin_counting() {
    #[cfg(feature = "metrics")]
    {
        use metrics::counter;

        for outcome in OUTCOMES {
            let _ = counter!("idempotency_requests_total", "outcome" => outcome);
        }
        for operation in ["claim", "renew", "complete", "release", "abandon"] {
            for kind in ["unavailable", "full", "corrupt"] {
                let labels = [("operation", operation), ("kind", kind)];
                let _ = counter!("idempotency_store_errors_total", &labels);
            }
        }
        let _ = counter!("idempotency_takeovers_total");
        let _ = counter!("idempotency_leases_lost_total");
        let _ = counter!("idempotency_bodies_omitted_total");
        let _ = counter!("idempotency_memory_evicted_total");
    }
}

/// All that [`answered`] and [`refused`] count.
#[cfg(feature = "metrics")]
const OUTCOMES: [&str; 20] = [
    "recorded",
    "released",
    "unknown",
    "degraded",
    "replayed",
    "missing-key",
    "invalid-key",
    "unreadable-body",
    "payload-too-large",
    "missing-principal",
    "fingerprint-mismatch",
    "credentials-changed",
    "in-flight",
    "superseded",
    "outcome-unknown",
    "effect-committed",
    "not-replayable",
    "store-unavailable",
    "overloaded",
    "draining",
];

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

/// Notes that the handler runs.
pub(crate) fn runs(attempt: u32) {
    field!("attempt", attempt);
}

/// Notes that a request was answered from the record.
pub(crate) fn replayed() {
    field!("outcome", "replayed");
    count!("idempotency_requests_total", "outcome" => "replayed");
}

/// Notes how a request was answered by the handler.
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

    /// Measures from when something began: the clock is read once less.
    pub(crate) fn since(start: Instant) -> Self {
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _ = start;
        Self {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            start,
        }
    }

    /// Notes that the store answered a claim, and of which record.
    pub(crate) fn claim_answered(self, name: &RecordName) {
        let seconds = self.seconds();
        observe!("idempotency_store_seconds", seconds, "operation" => "claim");
        // Two fields for one look at which span is current: every replay pays for it.
        #[cfg(feature = "tracing")]
        if is_heard() {
            let span = tracing::Span::current();
            span.record("record", tracing::field::debug(name));
            span.record("claim_ms", seconds * 1e3);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (name, seconds);
    }

    /// Notes that the store answered a renewal, which is outside of the request, and of its span.
    pub(crate) fn renewal_answered(self) {
        observe!("idempotency_store_seconds", self.seconds(), "operation" => "renew");
    }

    /// Notes that the store answered what settles a claim.
    pub(crate) fn settlement_answered(self, operation: &'static str) {
        let seconds = self.seconds();
        observe!("idempotency_store_seconds", seconds, "operation" => operation);
        field!("settle_ms", seconds * 1e3);
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
