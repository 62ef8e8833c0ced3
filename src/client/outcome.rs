use std::{error::Error, time::Duration};

use http::{HeaderMap, StatusCode};

use super::{Cause, Failure, retry_after::retry_after};
use crate::rejection::is_grpc;

/// What came of one attempt, as far as the decision goes.
pub(super) struct Outcome<'a> {
    pub(super) cause: Cause<'a>,
    pub(super) failure: Option<Failure>,
    pub(super) replayed: bool,
    pub(super) wish: Wish,
}

/// What the server asks of the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Wait(Duration),
    Never,
}

/// Which 409 say that the call is under way rather than that it clashes with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflicts {
    None,
    WithRetryAfter,
    All,
}

impl<'a> Outcome<'a> {
    pub(super) fn answer(status: StatusCode, headers: &HeaderMap, conflicts: Conflicts) -> Self {
        let wish = wish(headers);
        let under_way = match conflicts {
            Conflicts::None => false,
            Conflicts::WithRetryAfter => wish != Wish::Nothing,
            Conflicts::All => true,
        };
        let failure = if status == StatusCode::CONFLICT && under_way {
            Some(Failure::UnderWay)
        } else if is_grpc(headers) && header(headers, GRPC_STATUS) == Some(GRPC_UNAVAILABLE) {
            Some(Failure::Ambiguous)
        } else {
            Failure::of_status(status)
        };
        Self {
            cause: Cause::Status(status),
            failure,
            replayed: header(headers, REPLAYED)
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            wish,
        }
    }

    pub(super) fn error(error: &'a (dyn Error + 'static), failure: Failure) -> Self {
        Self {
            cause: Cause::Error(error),
            failure: Some(failure),
            replayed: false,
            wish: Wish::Nothing,
        }
    }

    /// Tells that the call behind this answer may have been carried out before it.
    pub(super) fn mark_in_doubt(&mut self) {
        if self.failure == Some(Failure::NotProcessed) {
            self.failure = Some(Failure::Ambiguous);
        }
    }

    /// Whether the server is well, as far as this attempt can tell.
    pub(super) fn is_good(&self) -> bool {
        let harmless = matches!(self.failure, None | Some(Failure::Permanent));
        matches!(self.cause, Cause::Status(_)) && (harmless || self.replayed)
    }
}

const REPLAYED: &str = "idempotency-replayed";
/// Read from the head only, where gRPC has it if there is no message: the "Trailers-Only" answer.
const GRPC_STATUS: &str = "grpc-status";
const GRPC_PUSHBACK: &str = "grpc-retry-pushback-ms";
const GRPC_UNAVAILABLE: &str = "14";

/// gRPC's own field goes before `Retry-After`.
fn wish(headers: &HeaderMap) -> Wish {
    if is_grpc(headers) && headers.contains_key(GRPC_PUSHBACK) {
        // gRFC A6: "If the value for pushback is negative or unparseable, then it will be seen as
        // the server asking the client not to retry at all."
        return header(headers, GRPC_PUSHBACK)
            .and_then(|millis| millis.parse().ok())
            .map_or(Wish::Never, |millis| {
                Wish::Wait(Duration::from_millis(millis))
            });
    }
    retry_after(headers).map_or(Wish::Nothing, Wish::Wait)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
