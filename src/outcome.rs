use http::{HeaderMap, StatusCode, response};

use crate::store::Effects;

/// Says what an answer means for the key: whether the work is done.
///
/// | answer | outcome |
/// |---|---|
/// | 401, 403, 409, 425, 429, 503; `grpc-status` 7, 8, 10, 14, 16 | [`Retryable`](Outcome::Retryable) |
/// | 408, every other 5xx; `grpc-status` 1, 2, 4, 13 | [`Unknown`](Outcome::Unknown) |
/// | everything else | [`Final`](Outcome::Final) |
///
/// [`IdempotencyLayer::outcome`](crate::IdempotencyLayer::outcome) changes this rule. A handler
/// has the last word by putting an `Outcome` into the extensions of its response, even where the
/// body of that breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is recorded, and every retry gets it.
    Final,
    /// Nothing was done: the answer is not recorded, and a retry runs.
    Retryable,
    /// Nobody knows whether something was done: [`UnknownOutcome`] decides about a retry.
    Unknown,
}

impl Outcome {
    /// Applies the default rule to an answer and its trailers.
    pub(crate) fn of(parts: &response::Parts, trailers: Option<&HeaderMap>) -> Self {
        match grpc_status(&parts.headers).or_else(|| trailers.and_then(grpc_status)) {
            Some(7 | 8 | 10 | 14 | 16) => Self::Retryable,
            Some(1 | 2 | 4 | 13) => Self::Unknown,
            Some(_) => Self::Final,
            None => Self::of_status(parts.status),
        }
    }

    fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 | 403 | 409 | 425 | 429 | 503 => Self::Retryable,
            408 | 500.. => Self::Unknown,
            _ => Self::Final,
        }
    }
}

impl Effects {
    /// Applies the default rule to an answer and its trailers.
    pub(crate) fn of(parts: &response::Parts, trailers: Option<&HeaderMap>) -> Self {
        let failed = match grpc_status(&parts.headers).or_else(|| trailers.and_then(grpc_status)) {
            Some(status) => status != 0,
            None => parts.status.as_u16() >= 400,
        };
        if failed { Self::Undo } else { Self::Keep }
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<u32> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Says what happens to a retry when the outcome of an earlier attempt is unknown.
///
/// An outcome is unknown when the process died, the handler panicked, its response broke off, or
/// its answer was an [`Outcome::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownOutcome {
    /// The retry runs, and the handler can see that it is attempt 2 or later.
    #[default]
    Retry,
    /// The retry is refused with 409 `outcome-unknown` until the claim expires.
    Refuse,
}
