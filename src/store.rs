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

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::Extensions;

use crate::{fingerprint::Fingerprint, outcome::UnknownOutcome, record_name::RecordName};

mod memory;
#[cfg(feature = "redis")]
mod redis;

pub use self::memory::{MemoryStore, MemoryStoreBuilder};
#[cfg(feature = "redis")]
pub use self::redis::{
    ConnectError, ConnectErrorKind, RedisStore, RedisStoreBuilder, UnsafeSettings,
};

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
    /// A [`StoreError`] of any kind; whether the claim was made is then not known.
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

/// Names what is claimed, by whom, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    name: RecordName,
    owner: OwnerToken,
    lease_millis: u64,
    ttl_millis: u64,
}

impl Claim {
    /// The shortest lease and ttl: one millisecond. Shorter ones are lengthened to it.
    pub const MIN: Duration = Duration::from_millis(1);

    /// The longest lease: one hour. Longer ones are shortened to it.
    pub const MAX_LEASE: Duration = Duration::from_secs(60 * 60);

    /// The longest ttl: ten years of 365 days. Longer ones are shortened to it.
    pub const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// Makes a claim; durations are rounded up to whole milliseconds and kept within the bounds
    /// above, so that no store needs to look at them again.
    #[must_use]
    pub fn new(name: RecordName, owner: OwnerToken, lease: Duration, ttl: Duration) -> Self {
        Self {
            name,
            owner,
            lease_millis: whole_millis(lease.clamp(Self::MIN, Self::MAX_LEASE)),
            ttl_millis: whole_millis(ttl.clamp(Self::MIN, Self::MAX_TTL)),
        }
    }

    /// Returns what is claimed.
    #[must_use]
    pub const fn name(&self) -> &RecordName {
        &self.name
    }

    /// Returns who claims it.
    #[must_use]
    pub const fn owner(&self) -> &OwnerToken {
        &self.owner
    }

    /// Returns how long the claim holds when nobody renews it, in whole milliseconds.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_millis)
    }

    /// Returns how long a record is kept, and a lapsed or abandoned claim after its deadline,
    /// in whole milliseconds.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_millis)
    }
}

fn whole_millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).expect("clamped before")
}

/// Tells one owner of a claim from every other: 128 random bits, made anew for every run.
///
/// Whoever knows it can end the claim, so it is never sent to clients, and `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerToken([u8; Self::LEN]);

impl OwnerToken {
    /// The length of a token in bytes.
    pub const LEN: usize = 16;

    /// Makes a token of random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::runtime::random())
    }

    /// Returns the token that these bytes are, for stores that read it back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the token.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerToken([redacted])")
    }
}

/// What [`Store::claim`] found.
#[derive(Debug)]
pub enum Claimed {
    /// The claim is ours: run.
    Acquired(Acquired),
    /// Another owner's lease is live.
    Held {
        /// The fingerprint of the request that runs, where the store knows it.
        fingerprint: Option<Fingerprint>,
        /// The time until its lease would pass, where the store knows it.
        left: Option<Duration>,
    },
    /// An earlier owner's outcome is unknown, and this claim may not take over.
    Unknown {
        /// The fingerprint of the request whose outcome is unknown.
        fingerprint: Fingerprint,
    },
    /// The record, as it was given to [`Store::complete`].
    Completed(Bytes),
}

/// A claim that was acquired.
#[derive(Debug, Clone)]
pub struct Acquired {
    /// Grows with every owner of one key, from 1: a resource that remembers the highest it has
    /// seen can refuse a late writer.
    pub fence: u64,
    /// Which attempt at the work this is, from 1.
    pub attempt: u32,
    /// What the store hands to the handler, in the request's extensions: a transaction, say.
    /// Dropped without [`Store::complete`], what it holds is undone.
    pub extensions: Extensions,
}

impl Acquired {
    /// Makes an acquired claim without extensions.
    #[must_use]
    pub fn new(fence: u64, attempt: u32) -> Self {
        Self {
            fence,
            attempt,
            extensions: Extensions::new(),
        }
    }
}

/// What [`Store::renew`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The deadline was moved.
    Renewed,
    /// The claim is no longer this owner's.
    Lost,
}

/// What [`Store::complete`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The record is kept.
    Kept,
    /// Another owner took over; nothing was changed.
    Superseded,
    /// The handler's writes were rolled back with the record, or may have been.
    Undone,
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
