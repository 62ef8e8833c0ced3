#[cfg(feature = "sqlx")]
use std::ops::DerefMut;
use std::{error::Error, fmt, ops::Deref, sync::Arc};

use http::Extensions;

use super::slot::{Begun, Handle, Missing, Slot};

/// The transaction in which a handler's writes and the record of its answer commit together, or
/// not at all.
///
/// `C` is the connection that it stands for: `deadpool_postgres::Client`, or
/// `sqlx::PgConnection`. What runs on it is in the transaction; nothing else is. With the feature
/// `axum` it is an extractor, elsewhere [`of`](Self::of) finds it in the request's extensions.
///
/// The layer commits after the handler has answered. Drop the transaction before that, as an
/// argument of the handler is: one that is kept is rolled back, and the client is told 503
/// `store-unavailable`. An answer of 400 and above that is recorded undoes what was written, unless
/// an [`Effects::Keep`](crate::Effects::Keep) is in the extensions of the response.
///
/// Savepoints are yours to use, and sqlx's `begin` on this connection, which makes one. Leave the
/// statements `COMMIT` and `ROLLBACK` alone: PostgreSQL has nothing that would refuse them here.
/// Whatever a handler commits by itself stays, without the record: the client is told 503, and
/// **each retry writes it again**. What it writes after either statement is outside of the
/// transaction, too.
pub struct PgTransaction<C> {
    begun: Option<Begun<C>>,
    slot: Arc<Slot<C>>,
}

impl<C: 'static> PgTransaction<C> {
    /// Takes the transaction out of a request's extensions. It is back there once this is dropped.
    ///
    /// # Errors
    ///
    /// A [`NoTransaction`] where the request has none for such a connection, or somebody else has
    /// taken it.
    pub fn of(extensions: &Extensions) -> Result<Self, NoTransaction> {
        let Handle(slot) = extensions.get().ok_or(NoTransaction(None))?;
        let begun = slot
            .take()
            .map_err(|missing| NoTransaction(Some(missing)))?;
        Ok(Self {
            begun: Some(begun),
            slot: Arc::clone(slot),
        })
    }
}

const THERE: &str = "it is put back only when this is dropped";

impl<C> Deref for PgTransaction<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.begun.as_ref().expect(THERE).connection()
    }
}

// Not for deadpool, whose client does not know of this transaction: where it is mutable, it begins
// and commits others.
#[cfg(feature = "sqlx")]
impl DerefMut for PgTransaction<sqlx::PgConnection> {
    fn deref_mut(&mut self) -> &mut sqlx::PgConnection {
        self.begun.as_mut().expect(THERE).connection_mut()
    }
}

impl<C> Drop for PgTransaction<C> {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.slot.put_back(begun);
        }
    }
}

impl<C> fmt::Debug for PgTransaction<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTransaction").finish_non_exhaustive()
    }
}

/// Why there is no [`PgTransaction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTransaction(Option<Missing>);

impl fmt::Display for NoTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => {
                "the request has no such transaction: it has no idempotency key, or the layer's \
                 store is not transactional, or has connections of another kind"
            }
            Some(Missing::Taken) => "the request's transaction is in use",
            Some(Missing::Over) => "the request's transaction is over",
        })
    }
}

impl Error for NoTransaction {}

#[cfg(feature = "axum")]
mod extractor {
    use axum::extract::FromRequestParts;
    use http::{StatusCode, request};

    use super::PgTransaction;

    /// Rejects with 500 where there is no transaction, and says why.
    impl<S: Send + Sync, C: Send + 'static> FromRequestParts<S> for PgTransaction<C> {
        type Rejection = (StatusCode, String);

        async fn from_request_parts(
            parts: &mut request::Parts,
            _: &S,
        ) -> Result<Self, Self::Rejection> {
            Self::of(&parts.extensions)
                .map_err(|missing| (StatusCode::INTERNAL_SERVER_ERROR, missing.to_string()))
        }
    }
}
