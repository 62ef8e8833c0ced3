use http::{HeaderMap, HeaderName, StatusCode};

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
    /// Applies the default rule.
    pub(crate) const fn of(status: StatusCode, grpc_status: Option<u32>) -> Self {
        match grpc_status {
            Some(7 | 8 | 10 | 14 | 16) => Self::Retryable,
            Some(1 | 2 | 4 | 13) => Self::Unknown,
            Some(_) => Self::Final,
            None => Self::of_status(status),
        }
    }

    const fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 | 403 | 409 | 425 | 429 | 503 => Self::Retryable,
            408 | 500.. => Self::Unknown,
            _ => Self::Final,
        }
    }
}

/// What becomes of the writes that a handler made in a transaction of the store's.
///
/// By default they are undone for a recorded answer of 400 and above, or a `grpc-status` other
/// than 0. A handler that knows better puts one of these into the response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// They are committed together with the record.
    Keep,
    /// They are rolled back; the record is kept all the same.
    Undo,
}

impl Effects {
    /// Applies the default rule.
    pub(crate) const fn of(status: StatusCode, grpc_status: Option<u32>) -> Self {
        match grpc_status {
            Some(0) => Self::Keep,
            None if status.as_u16() < 400 => Self::Keep,
            _ => Self::Undo,
        }
    }
}

/// Returns the status of a gRPC answer, which is in its trailers, or in its head where it has
/// nothing else.
pub(crate) fn grpc_status(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Option<u32> {
    const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
    let status = headers
        .get(GRPC_STATUS)
        .or_else(|| trailers?.get(GRPC_STATUS))?;
    status.to_str().ok()?.parse().ok()
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
    /// The retry is refused with 409 until the claim expires: `effect-committed` where the store knows that the
    /// work was done, `outcome-unknown` otherwise.
    Refuse,
}
