use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{StatusCode, request};

use super::transaction::SqliteTransaction;

/// Rejects with 500 where the request carries no key, the route no layer, or the layer a store that
/// is not transactional.
impl<S: Send + Sync> FromRequestParts<S> for SqliteTransaction {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(
        parts: &mut request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        parts.extensions.get().cloned().ok_or((
            StatusCode::INTERNAL_SERVER_ERROR,
            "no SQLite transaction: the layer is missing or its store not transactional, or the \
             request has no key",
        ))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for SqliteTransaction {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut request::Parts,
        _: &S,
    ) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}
