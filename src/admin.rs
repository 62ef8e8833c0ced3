//! What is done by hand: looking at what a store keeps, and mending it.
//!
//! Every store of this crate is an [`Admin`], through [`Encrypted`] and `Arc` too. The example
//! `inspect` is a command line on it, and `router` (feature `axum`) an HTTP face for an internal
//! port. `docs/operations.md` says what to do when.
//!
//! A store knows digests, not keys: [`RecordNames`] makes the one of a key.
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use tower_idempotency::{
//!     IdempotencyLayer, MemoryStore,
//!     admin::{Admin, Repair, Repaired},
//! };
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let layer = IdempotencyLayer::new(store.clone()).namespace("payments");
//!
//! // A client asks what became of its payment, and the bank says that it was made.
//! let name = layer.record_names().of(None, &"order-17".parse()?);
//! if let Some(entry) = store.find(&name).await? {
//!     println!("{}, attempt {:?}", entry.state, entry.attempt);
//!     let answer = Response::builder().status(201).body(Bytes::from("paid"))?;
//!     let repaired = store.repair(&Repair::new(&entry, answer)?).await?;
//!     assert_eq!(repaired, Repaired::Recorded);
//! }
//! # Ok(()) }
//! ```
//!
//! [`Encrypted`]: crate::store::Encrypted
//! [`RecordNames`]: crate::RecordNames

mod counts;
mod cursor;
mod entry;
mod forget;
mod list;
mod page;
mod repair;
#[cfg(feature = "axum")]
mod router;
mod state;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "axum")]
pub use self::router::{Act, Permission, router};
pub use self::{
    counts::{Counts, count},
    cursor::{Cursor, InvalidCursor},
    entry::Entry,
    forget::{Force, Forgotten},
    list::List,
    page::Page,
    repair::{NotUnknown, Repair, Repaired},
    state::{InvalidState, State},
};
use crate::{record_name::RecordName, store::StoreError};

/// Looks at what a store keeps, and mends it.
///
/// # Contract
///
/// | operation | found | result |
/// |---|---|---|
/// | [`find`](Admin::find) | anything that has not expired | its entry |
/// | [`record`](Admin::record) | completed | the record, as it was given to [`Store::complete`](crate::Store::complete) |
/// | [`forget`](Admin::forget) | in flight, lease live | refused, unless forced; nothing changes |
/// | | lapsed, abandoned or completed | forgotten: the next claim gets fence 1, attempt 1 |
/// | [`repair`](Admin::repair) | lapsed or abandoned, with the fence and fingerprint of the repair | recorded, until now + ttl |
/// | | completed by this repair (a resend) | recorded |
/// | | in flight, lease live | refused; nothing changes |
/// | | anything else | refused; nothing changes |
/// | [`list`](Admin::list) | | whatever is there from the first page to the last, once at least |
///
/// 1. `find`, `forget` and `repair` are each one atomic step on one name, which others see before
///    it or after it, and may be repeated.
/// 2. What was recorded by hand belongs to no earlier owner: one that comes back late is told that it
///    was superseded, and changes nothing.
/// 3. `forget` and `repair` wake whoever waits for the name.
/// 4. No operation holds up the store for longer than a few of its others do, nor takes more memory
///    with more keys.
/// 5. Each, with the feature `tracing`, is an event that names the record by a short digest.
///
/// A claim that is an open transaction is not seen here: it is nothing until it commits.
#[async_trait]
pub trait Admin: Send + Sync + 'static {
    /// Looks at what is kept under a name.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; one of the kind [`Corrupt`](crate::store::StoreErrorKind::Corrupt) where
    /// what is kept there is none of this store's.
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError>;

    /// Returns the record that is kept under a name, for [`Record::decode`](crate::Record::decode):
    /// somebody's response.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError>;

    /// Removes what is kept under a name, so that the next request runs as if there had been none.
    ///
    /// While its owner is at work that is refused: another request would run beside it, and with
    /// the same fence. [`Force::Yes`] does it all the same, once you know that the owner is dead.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; whether it was removed is then not known. What cannot be read is
    /// [`Corrupt`](crate::store::StoreErrorKind::Corrupt), and removed by force only.
    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError>;

    /// Records an answer by hand, where the outcome of a run is unknown.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; whether the answer was recorded is then not known, and the same repair may
    /// be repeated.
    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError>;

    /// Lists what is kept, page by page and in an order of the store's own.
    ///
    /// A page may be empty and yet not the last: it is the last where it has no
    /// [`next`](Page::next).
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; the same page may be asked for again.
    async fn list(&self, list: &List) -> Result<Page, StoreError>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Admin + ?Sized> Admin for Arc<T> {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        (**self).find(name).await
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        (**self).record(name).await
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        (**self).forget(name, force).await
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        (**self).repair(repair).await
    }

    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        (**self).list(list).await
    }
}
