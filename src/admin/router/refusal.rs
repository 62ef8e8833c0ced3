use std::{borrow::Cow, error::Error};

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::NO_STORE;
use crate::{
    admin::NotUnknown,
    record::InvalidRecord,
    store::{StoreError, StoreErrorKind},
};

/// Why something was not done: a problem of RFC 9457.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Refusal {
    pub(super) const UNAUTHENTICATED: Self =
        Self::new(StatusCode::UNAUTHORIZED, "it is not known who asks");
    pub(super) const FORBIDDEN: Self = Self::new(StatusCode::FORBIDDEN, "you may not do this");
    pub(super) const NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "nothing is kept under this name");
    pub(super) const NO_RESPONSE: Self = Self::new(
        StatusCode::NOT_FOUND,
        "no response is recorded under this name",
    );
    pub(super) const AT_WORK: Self = Self::new(
        StatusCode::CONFLICT,
        "its owner is at work, and another request would run beside it; once you know that the owner \
         is dead, ask with force=true",
    );
    pub(super) const TAKEN_OVER: Self = Self::new(
        StatusCode::CONFLICT,
        "another request took over meanwhile; look again",
    );
    pub(super) const NO_STATUS: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "the status of the answer is missing: status=201, say",
    );
    pub(super) const UNREADABLE_BODY: Self = Self::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body broke off, or is longer than 1 MiB",
    );

    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self {
            status,
            detail: Cow::Borrowed(detail),
        }
    }

    fn because(status: StatusCode, reason: String) -> Self {
        Self {
            status,
            detail: Cow::Owned(reason),
        }
    }

    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::because(StatusCode::BAD_REQUEST, reason.into())
    }

    pub(super) fn conflict(reason: NotUnknown) -> Self {
        Self::because(StatusCode::CONFLICT, reason.to_string())
    }

    pub(super) fn unreadable(reason: InvalidRecord) -> Self {
        Self::because(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match error.kind() {
            StoreErrorKind::Corrupt => StatusCode::INTERNAL_SERVER_ERROR,
            StoreErrorKind::Unavailable | StoreErrorKind::Full => StatusCode::SERVICE_UNAVAILABLE,
        };
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        Self::because(status, format!("{error}: {cause}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let (status, detail) = (self.status.as_u16(), escaped(&self.detail));
        let problem = format!(r#"{{"title":"{title}","status":{status},"detail":"{detail}"}}"#);
        let head = [(header::CONTENT_TYPE, "application/problem+json"), NO_STORE];
        (self.status, head, problem).into_response()
    }
}

/// Writes text as it stands in a string of JSON.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' => escaped.extend(['\\', letter]),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
