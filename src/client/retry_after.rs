use std::time::{Duration, SystemTime};

use http::{
    HeaderMap,
    header::{DATE, RETRY_AFTER},
};

/// Returns the time that an answer asks to wait (RFC 9110, section 10.2.3).
///
/// A date is measured against the answer's own `Date`, so that a client with a wrong clock waits
/// as long as the server meant. What is neither seconds nor a date is ignored.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let mut fields = headers.get_all(RETRY_AFTER).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let field = field.to_str().ok()?.trim();
    if is_number(field) {
        // More seconds than fit are still a number, and above every cap.
        return Some(Duration::from_secs(field.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(field).ok()?;
    let now = sent_at(headers).unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

fn sent_at(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// `parse` alone would take a sign.
fn is_number(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit())
}
