//! The store in PostgreSQL.

mod admin;
mod builder;
mod claimed;
mod cleanup;
#[cfg(feature = "postgres")]
mod connect_error;
mod core;
#[cfg(feature = "postgres")]
mod deadpool;
mod driver;
mod ear;
mod failure;
mod invalid_name;
mod open;
mod repeats;
mod row;
mod slot;
#[cfg(feature = "sqlx")]
mod sqlx;
mod statements;
mod table;
mod tracked;
mod transaction;
mod transactional;
mod unfinished;
mod waiters;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "postgres")]
pub use self::connect_error::{PostgresConnectError, PostgresConnectErrorKind};
pub use self::{
    builder::PostgresStoreBuilder,
    invalid_name::InvalidName,
    transaction::{NoTransaction, PgTransaction},
};
use self::{core::Core, failure::Failure};
use crate::{
    fingerprint::Fingerprint,
    outcome::{Effects, UnknownOutcome},
    record_name::RecordName,
    store::{Changed, Claim, Claimed, Completion, Renewal, Store, StoreError},
};

/// Keeps claims and records in PostgreSQL (13 or later), beside the handler's own data; clones
/// share the pool.
///
/// # Two modes
///
/// **Claimed**, the default: a claim is committed first, the handler does as it likes, and the
/// record is committed last. For handlers whose effects are elsewhere, or take long. Where they
/// are in this database, a [`Guard`](crate::Guard) ties the handler's own transaction to its
/// claim: [`IdempotencyContext::guard`](crate::IdempotencyContext::guard).
///
/// **[Transactional](PostgresStoreBuilder::transactional)**: the claim is an open transaction, in
/// which the handler writes ([`PgTransaction`]) and the record commits. Whatever dies, and
/// whenever: all of it is there, or nothing. The client hears of success only after that; of a
/// commit that failed or may have it is told 503, and its retry finds out which it was.
///
/// # Set it up
///
/// ```no_run
/// # #[cfg(feature = "postgres")]
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_idempotency::{IdempotencyLayer, PostgresStore};
///
/// let store = PostgresStore::builder().transactional().connect("postgres://127.0.0.1/shop").await?;
/// store.migrate().await?;
/// let layer = IdempotencyLayer::new(store).require_key();
/// # Ok(()) }
/// ```
///
/// # How it works
///
/// Claimed, each operation is one statement and one round trip, in the server's time, and may be
/// repeated; a claim that finds nothing in its way is a second one, and a replay writes nothing.
/// Transactional, the claim is `BEGIN`, a try at an advisory
/// lock, a look for the record and a savepoint; completion inserts the record and commits.
///
/// A connection that is not known to be idle is closed, and never given back to the pool. Nobody
/// who waits for a key has one: changes are told by `NOTIFY`, on one connection for each process
/// that is there while somebody waits.
///
/// What expired is deleted by a task, in batches, side by side with those of other servers.
#[derive(Clone)]
pub struct PostgresStore {
    core: Arc<Core>,
}

impl PostgresStore {
    fn new(core: Core) -> Self {
        Self {
            core: Arc::new(core),
        }
    }

    /// Returns a builder with every setting, that takes a pool or a URL.
    pub fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::new()
    }

    /// Creates the tables, or brings older ones up to date; many servers may do so at once. Where
    /// all is there, this changes and locks nothing.
    ///
    /// For migrations of your own, the statements are in `src/store/postgres/schema.sql`.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the server does not answer, or does not let us.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(self.core.migrate().await?)
    }

    /// Deletes all that expired, in batches, and returns how many keys that were. The store does
    /// that by itself, too: see [`cleanup_interval`](PostgresStoreBuilder::cleanup_interval).
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; what was deleted until then stays so.
    pub async fn clean_up(&self) -> Result<u64, StoreError> {
        Ok(self.core.clean_up().await?)
    }

    #[cfg(feature = "postgres")]
    async fn answers(&self) -> Result<(), Failure> {
        self.core.query("SELECT 1::bigint", &[]).await.map(drop)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        self.core.begin_to_clean_up();
        Ok(if self.core.transactional {
            self.core.begin(claim, fingerprint, unknown_outcome).await?
        } else {
            self.core.claim(claim, fingerprint, unknown_outcome).await?
        })
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        if self.core.transactional {
            return Ok(self.core.is_open(claim));
        }
        Ok(self.core.renew(claim).await?)
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        if self.core.transactional {
            return Ok(self.core.commit(claim, &record, effects).await);
        }
        Ok(self.core.complete(claim, &record).await?)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        if self.core.transactional {
            return Ok(self.core.roll_back(claim).await?);
        }
        Ok(self.core.release(claim).await?)
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        if self.core.transactional {
            return Ok(self.core.roll_back(claim).await?);
        }
        Ok(self.core.abandon(claim).await?)
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.core.changed(name)
    }
}
