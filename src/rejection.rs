use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::key::InvalidKey;

/// Says why the layer answered a request itself, instead of the inner service or the record.
///
/// The answer is a problem of RFC 9457 (`application/problem+json`), or a gRPC status where the
/// request is a gRPC call. It carries this value in its extensions, so that outer layers can see
/// the reason.
///
/// | code | status | gRPC | `Retry-After` | why | what a client does |
/// |---|---|---|---|---|---|
/// | <a id="missing-key"></a>`missing-key` | 400 | 3 | | no key, and one is required | send one |
/// | <a id="invalid-key"></a>`invalid-key` | 400 | 3 | | the header holds no well-formed key | send another |
/// | <a id="unreadable-body"></a>`unreadable-body` | 400 | 3 | | the request body broke off | send it again |
/// | <a id="payload-too-large"></a>`payload-too-large` | 413 | 8 | | the request body is over the limit | send less, or without a key |
/// | <a id="missing-principal"></a>`missing-principal` | 403 | 16 | | the scope function found no principal | authenticate |
/// | <a id="fingerprint-mismatch"></a>`fingerprint-mismatch` | 422 | 3 | | the key belongs to another request | for another request, use a new key; for the same, send it as it was |
/// | <a id="credentials-changed"></a>`credentials-changed` | 422 | 3 | | the key belongs to the same request with other credentials | send the credentials of the first attempt |
/// | <a id="in-flight"></a>`in-flight` | 409 | 14 | 1 s | the first request under the key still runs | send it again |
/// | <a id="superseded"></a>`superseded` | 409 | 14 | 1 s | this run lost the key, and another took over | send it again |
/// | <a id="outcome-unknown"></a>`outcome-unknown` | 409 | 9 | | an earlier attempt may or may not have done the work | ask whoever runs the service; with a new key it may be done twice |
/// | <a id="effect-committed"></a>`effect-committed` | 409 | 9 | | an earlier attempt did the work, and its answer is lost | look for the effect; with a new key it is done twice |
/// | <a id="not-replayable"></a>`not-replayable` | 409 | 9 | | the first answer was an upgrade, or a gRPC answer too long to record | look for the effect; with a new key it is done twice |
/// | <a id="store-unavailable"></a>`store-unavailable` | 503 | 14 | 1 s | the store failed | send it again |
/// | <a id="overloaded"></a>`overloaded` | 503 | 14 | 1 s | too many keyed requests are in flight | send it again |
/// | <a id="draining"></a>`draining` | 503 | 14 | 1 s | the server is shutting down | send it again |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// No key was sent, and one is required.
    MissingKey,
    /// The header holds no well-formed key.
    InvalidKey(InvalidKey),
    /// The request body broke off or cannot be read.
    UnreadableBody,
    /// The request body is over the limit.
    PayloadTooLarge,
    /// The scope function found no principal.
    MissingPrincipal,
    /// The key was used for another request.
    FingerprintMismatch,
    /// The key was used for the same request under other credentials.
    CredentialsChanged,
    /// The first request under the key still runs.
    InFlight,
    /// This run lost the key, and another took over before it ended.
    Superseded,
    /// An earlier attempt may or may not have done the work, and runs are not repeated.
    OutcomeUnknown,
    /// An earlier attempt committed its effect under its [`Guard`](crate::Guard), and ended before its answer was
    /// recorded; runs are not repeated.
    EffectCommitted,
    /// The first answer was an upgrade of the connection, or a gRPC answer that was too long to
    /// record: it cannot be given again.
    NotReplayable,
    /// The store failed.
    StoreUnavailable,
    /// Too many keyed requests are in flight.
    Overloaded,
    /// The server is shutting down.
    Draining,
}

impl Rejection {
    /// Returns the code that names the reason in answers and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingKey => "missing-key",
            Self::InvalidKey(_) => "invalid-key",
            Self::UnreadableBody => "unreadable-body",
            Self::PayloadTooLarge => "payload-too-large",
            Self::MissingPrincipal => "missing-principal",
            Self::FingerprintMismatch => "fingerprint-mismatch",
            Self::CredentialsChanged => "credentials-changed",
            Self::InFlight => "in-flight",
            Self::Superseded => "superseded",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::EffectCommitted => "effect-committed",
            Self::NotReplayable => "not-replayable",
            Self::StoreUnavailable => "store-unavailable",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
        }
    }

    /// Returns the HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MissingKey | Self::InvalidKey(_) | Self::UnreadableBody => {
                StatusCode::BAD_REQUEST
            }
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MissingPrincipal => StatusCode::FORBIDDEN,
            Self::FingerprintMismatch | Self::CredentialsChanged => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::InFlight
            | Self::Superseded
            | Self::OutcomeUnknown
            | Self::EffectCommitted
            | Self::NotReplayable => StatusCode::CONFLICT,
            Self::StoreUnavailable | Self::Overloaded | Self::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Returns when the client may try again, where that makes sense.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::InFlight
            | Self::Superseded
            | Self::StoreUnavailable
            | Self::Overloaded
            | Self::Draining => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Returns the status code of the answer to a gRPC call.
    #[must_use]
    pub const fn grpc_status(&self) -> u8 {
        match self {
            Self::MissingKey
            | Self::InvalidKey(_)
            | Self::UnreadableBody
            | Self::FingerprintMismatch
            | Self::CredentialsChanged => 3,
            Self::PayloadTooLarge => 8,
            Self::OutcomeUnknown | Self::EffectCommitted | Self::NotReplayable => 9,
            Self::InFlight
            | Self::Superseded
            | Self::StoreUnavailable
            | Self::Overloaded
            | Self::Draining => 14,
            Self::MissingPrincipal => 16,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::MissingKey => "Idempotency key missing",
            Self::InvalidKey(_) => "Idempotency key invalid",
            Self::UnreadableBody => "Request body unreadable",
            Self::PayloadTooLarge => "Request body too large",
            Self::MissingPrincipal => "Principal missing",
            Self::FingerprintMismatch => "Idempotency key used for another request",
            Self::CredentialsChanged => "Idempotency key used with other credentials",
            Self::InFlight => "Request in flight",
            Self::Superseded => "Request superseded",
            Self::OutcomeUnknown => "Outcome unknown",
            Self::EffectCommitted => "Effect committed",
            Self::NotReplayable => "Answer not replayable",
            Self::StoreUnavailable => "Idempotency store unavailable",
            Self::Overloaded => "Too many requests in flight",
            Self::Draining => "Server shutting down",
        }
    }

    /// Writes the answer to the client.
    pub(crate) fn response(self, grpc: bool, problem_base: &str) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if grpc {
            self.put_grpc_status(headers);
        } else {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            );
            if let Some(after) = self.retry_after() {
                headers.insert(header::RETRY_AFTER, after.as_secs().into());
            }
            *response.status_mut() = self.status();
            *response.body_mut() = self.problem(problem_base).into();
        }
        response.extensions_mut().insert(self);
        response
    }

    fn put_grpc_status(self, headers: &mut HeaderMap) {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert("grpc-status", u16::from(self.grpc_status()).into());
        // Plain ASCII without a percent sign, which needs no escapes here.
        if let Ok(message) = HeaderValue::from_str(&self.to_string()) {
            headers.insert("grpc-message", message);
        }
        if let Some(after) = self.retry_after() {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            headers.insert("grpc-retry-pushback-ms", millis.into());
        }
    }

    /// Writes the problem; none of its parts holds a character that JSON would escape.
    fn problem(self, base: &str) -> String {
        let (code, title, status) = (self.code(), self.title(), self.status().as_u16());
        format!(
            r#"{{"type":"{base}{code}","title":"{title}","status":{status},"detail":"{self}","code":"{code}"}}"#
        )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingKey => "this request needs an idempotency key; send one in the header",
            Self::InvalidKey(reason) => return reason.fmt(f),
            Self::UnreadableBody => {
                "the request body broke off or cannot be read; nothing was done"
            }
            Self::PayloadTooLarge => "the request body is over the limit for keyed requests",
            Self::MissingPrincipal => "no principal was found for the idempotency key",
            Self::FingerprintMismatch => {
                "the idempotency key was used for another request; another host counts as one too"
            }
            Self::CredentialsChanged => {
                "the idempotency key was used for this request with other credentials"
            }
            Self::InFlight => "the first request with this idempotency key is still running",
            Self::Superseded => "another request with this idempotency key took over; try again",
            Self::OutcomeUnknown => {
                "an earlier request with this idempotency key may or may not have taken effect"
            }
            Self::EffectCommitted => {
                "an earlier request with this idempotency key took effect, and its answer is lost"
            }
            Self::NotReplayable => {
                "the request was carried out, and its answer cannot be given again"
            }
            Self::StoreUnavailable => "the idempotency store is unavailable; try again",
            Self::Overloaded => "too many requests are in flight; nothing was done; try again",
            Self::Draining => "the server is shutting down; nothing was done; try again",
        })
    }
}

impl Error for Rejection {}

/// Says whether a request is a gRPC call, and wants a gRPC status for an answer: its content type
/// is `application/grpc`, with or without a format such as `+proto`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let content_type = content_type.as_bytes();
    content_type
        .get(..GRPC.len())
        .is_some_and(|essence| essence.eq_ignore_ascii_case(GRPC))
        && matches!(
            content_type.get(GRPC.len()),
            None | Some(b'+' | b';' | b' ')
        )
}
