//! Where claims and records are kept.
//!
//! # States of a key
//!
//! ```text
//! absent --claim--> in flight {owner, fence, attempt, lease deadline, fingerprint} --complete--> completed {record, ttl}
//!    ^                 |  deadline passes: "lapsed" (its owner may come back)
//!    |                 |  abandon: "abandoned" (its owner gave up)
//!    +-----release-----+  both stay until the ttl; both mean that the outcome is unknown
//! ```
//!
//! # Writing a store
//!
//! A store keeps state and decides nothing: [`Store`] lists what each operation does in each state.
//! The example `custom_store` is a whole one. The feature `testing` has a conformance suite that
//! tells whether yours keeps the contract.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{fingerprint::Fingerprint, record_name::RecordName};

mod claim;
#[cfg(feature = "encryption")]
mod encrypted;
#[cfg(any(feature = "redis", feature = "sqlite"))]
mod keys;
mod memory;
#[cfg(any(feature = "postgres", feature = "sqlx"))]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(any(feature = "postgres", feature = "sqlx"))]
pub use self::postgres::{
    InvalidName, NoTransaction, PgTransaction, PostgresStore, PostgresStoreBuilder,
};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresConnectError, PostgresConnectErrorKind};

#[cfg(feature = "encryption")]
pub use self::encrypted::{Encrypted, KeyRing};
#[cfg(feature = "redis")]
pub use self::redis::{
    ConnectError, ConnectErrorKind, RedisStore, RedisStoreBuilder, UnsafeSettings,
};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{
    OpenError, OpenErrorKind, SqliteStore, SqliteStoreBuilder, SqliteTransaction, Synchronous,
    TransactionError,
};
pub use crate::outcome::{Effects, UnknownOutcome};
pub use claim::{Acquired, Claim, Claimed, Completion, OwnerToken, Renewal};
pub use memory::{MemoryStore, MemoryStoreBuilder};

/// Keeps claims and records.
///
/// # Contract
///
/// | operation | found | result |
/// |---|---|---|
/// | [`claim`](Store::claim) | absent | acquired, fence 1, attempt 1 |
/// | | in flight by the same owner, lapsed or not (a resend) | acquired, the same fence and attempt |
/// | | in flight by another, lease live | held |
/// | | lapsed or abandoned, another fingerprint | unknown; nothing changes |
/// | | lapsed or abandoned, same fingerprint | [`Retry`](UnknownOutcome::Retry): acquired, fence + 1, attempt + 1; [`Refuse`](UnknownOutcome::Refuse): unknown |
/// | | completed | completed |
/// | [`renew`](Store::renew) | in flight by the same owner, lapsed or not | renewed: deadline now + lease, expiry deadline + ttl |
/// | | anything else, abandoned by the same owner included | lost |
/// | [`complete`](Store::complete) | in flight by the same owner, lapsed or not, or absent | kept, until now + ttl |
/// | | completed by the same owner (a resend) | kept |
/// | | another owner's, in any state | superseded |
/// | | a transaction that failed, or may have | undone; not repeated |
/// | [`release`](Store::release) | in flight by the same owner, lapsed or not | fence 1: absent; higher: abandoned, so that fence and attempt go on counting |
/// | [`abandon`](Store::abandon) | in flight by the same owner, lapsed or not | abandoned |
///
/// Every other combination changes nothing. Further:
///
/// 1. Each operation is one atomic step on one name.
/// 2. Each may be repeated by the same owner and then answers the same, since clients resend.
/// 3. Leases are measured by the store's own clock.
/// 4. An operation whose future is dropped is applied or not applied, nothing between.
/// 5. Each operation ends within a deadline of the store's choice.
/// 6. `claim` never answers from a replica or a cache.
/// 7. A record is opaque bytes, given back as they came.
///
/// # Wrappers
///
/// `Arc<T>` is a store wherever `T` is, `Arc<dyn Store>` included. A wrapper forwards every method:
/// none has a default.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Claims a name for an owner, or says what stands in the way.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]. One of the kind [`Full`](StoreErrorKind::Full) made no claim; after any other
    /// it is not known whether the claim was made, and it is released later.
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError>;

    /// Moves the deadline of a claim to its lease from now.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; whether the deadline was moved is then not known.
    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError>;

    /// Ends a claim with a record, which is kept for the claim's ttl.
    ///
    /// `effects` matters to transactional stores alone: with [`Effects::Undo`] they roll back
    /// what the handler wrote and keep the record all the same.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; whether the record is kept is then not known, and the call is repeated.
    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError>;

    /// Ends a claim under which nothing was done: the next request runs.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; whether the claim was released is then not known.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Ends a claim whose outcome nobody knows, without waiting for its lease to pass.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; whether the claim was abandoned is then not known.
    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Returns a future that resolves once the name may have changed.
    ///
    /// Whoever calls this and then claims misses no change: it listens from the call on, not
    /// from its first poll. It may resolve for nothing.
    fn changed(&self, name: &RecordName) -> Changed;
}

/// The future that [`Store::changed`] returns.
pub type Changed = Pin<Box<dyn Future<Output = ()> + Send>>;

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

// Written out, so that a forwarded call costs no second box.
#[deny(clippy::missing_trait_methods)]
impl<T: Store + ?Sized> Store for Arc<T> {
    fn claim<'a: 't, 'b: 't, 'c: 't, 't>(
        &'a self,
        claim: &'b Claim,
        fingerprint: &'c Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> StoreFuture<'t, Claimed> {
        (**self).claim(claim, fingerprint, unknown_outcome)
    }

    fn renew<'a: 't, 'b: 't, 't>(&'a self, claim: &'b Claim) -> StoreFuture<'t, Renewal> {
        (**self).renew(claim)
    }

    fn complete<'a: 't, 'b: 't, 't>(
        &'a self,
        claim: &'b Claim,
        record: Bytes,
        effects: Effects,
    ) -> StoreFuture<'t, Completion> {
        (**self).complete(claim, record, effects)
    }

    fn release<'a: 't, 'b: 't, 't>(&'a self, claim: &'b Claim) -> StoreFuture<'t, ()> {
        (**self).release(claim)
    }

    fn abandon<'a: 't, 'b: 't, 't>(&'a self, claim: &'b Claim) -> StoreFuture<'t, ()> {
        (**self).abandon(claim)
    }

    fn changed(&self, name: &RecordName) -> Changed {
        (**self).changed(name)
    }
}

/// An operation of a store that failed.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    /// Makes an error of a kind from what caused it.
    pub fn new(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: source.into(),
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the idempotency store cannot be reached",
            StoreErrorKind::Full => "the idempotency store is full",
            StoreErrorKind::Corrupt => "the idempotency store holds something unreadable",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// The kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store did not answer, or not in time.
    Unavailable,
    /// The store has no room for another claim.
    Full,
    /// What the store holds under the name cannot be read, or is another name's.
    Corrupt,
}
