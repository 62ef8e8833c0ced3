//! What of a response is recorded, and what is made of the record again.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, response};

use crate::{
    body::Buffered,
    fingerprint::Fingerprint,
    record::{self, Record, RecordedBody},
    record_name::RecordName,
    rejection::Rejection,
    settings::Settings,
};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const REPLAY: HeaderName = HeaderName::from_static("idempotency-replay");

/// Writes down the record of a response; `body` is `None` where it is too long, or has no end.
pub(crate) fn record(
    settings: &Settings,
    name: &RecordName,
    fingerprint: &Fingerprint,
    parts: &response::Parts,
    body: Option<&Buffered>,
) -> Bytes {
    let connection = named_by_connection(&parts.headers);
    let wanted = |name: &HeaderName| {
        let filter = settings.replay_headers.as_ref();
        !is_never_replayed(name) && filter.is_none_or(|filter| filter(name))
    };
    // A gRPC answer is none without its status.
    let keep_trailer = |name: &HeaderName| is_grpc_status(name) || wanted(name);
    let trailers = body.and_then(Buffered::trailers);
    let has_trailers = trailers.is_some_and(|trailers| trailers.keys().any(keep_trailer));
    // That of an answer to HEAD, or of a 304, is not its own body's, and cannot be made again.
    let is_of_another =
        |length: &HeaderValue| length != "0" && body.is_some_and(|body| body.len() == 0);
    let keep_length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(is_of_another);
    let keep = |name: &HeaderName| {
        keep_length && name == header::CONTENT_LENGTH
            || wanted(name)
                && !connection.contains(name)
                && (has_trailers || name != header::TRAILER)
                && (body.is_some() || !describes_body(name))
    };
    let (status, headers) = (parts.status, &parts.headers);
    record::encode(name, fingerprint, status, headers, keep, keep_trailer, body)
}

/// Makes the response of a record again. A gRPC answer is none without its body and trailers.
pub(crate) fn replay(record: Record, grpc: bool) -> Result<Response<Buffered>, Rejection> {
    let (body, omitted) = match record.body {
        RecordedBody::Whole(body) => (body, false),
        RecordedBody::Omitted if grpc || record.status == StatusCode::SWITCHING_PROTOCOLS => {
            return Err(Rejection::NotReplayable);
        }
        RecordedBody::Omitted => (Buffered::default(), true),
    };
    let mut response = Response::new(body);
    *response.status_mut() = record.status;
    *response.headers_mut() = record.headers;
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    if omitted {
        response
            .headers_mut()
            .insert(REPLAY, HeaderValue::from_static("omitted"));
    }
    Ok(response)
}

/// Says whether a response has no end worth waiting for.
pub(crate) fn is_endless(parts: &response::Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    parts.status == StatusCode::SWITCHING_PROTOCOLS
        || content_type.is_some_and(|value| {
            let essence = value
                .as_bytes()
                .split(|&byte| byte == b';')
                .next()
                .unwrap_or_default();
            essence
                .trim_ascii()
                .eq_ignore_ascii_case(b"text/event-stream")
        })
}

/// The fields of one connection (RFC 9110, section 7.6.1), of one moment, or of one client.
pub(crate) fn is_never_replayed(name: &HeaderName) -> bool {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    [
        header::CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::DATE,
        header::SET_COOKIE,
        header::CONTENT_LENGTH,
    ]
    .contains(name)
}

/// How a gRPC call ended.
fn is_grpc_status(name: &HeaderName) -> bool {
    ["grpc-status", "grpc-message", "grpc-status-details-bin"].contains(&name.as_str())
}

/// The fields that say what the body is, and would lie about none.
fn describes_body(name: &HeaderName) -> bool {
    const DIGESTS: [&str; 4] = ["content-md5", "content-digest", "repr-digest", "digest"];
    [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
        header::CONTENT_DISPOSITION,
        header::ETAG,
        header::LAST_MODIFIED,
    ]
    .contains(name)
        || DIGESTS.contains(&name.as_str())
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let fields = headers.get_all(header::CONNECTION).iter();
    fields
        .flat_map(|field| field.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}
