//! The store in a SQLite file.

mod admin;
mod begin;
mod builder;
mod claimed;
mod clock;
mod decision;
mod entry;
#[cfg(feature = "axum")]
mod extractor;
mod failure;
mod file;
mod gate;
mod haste;
mod open_error;
mod places;
mod queue;
mod readers;
mod request;
mod row;
mod schema;
mod sweep;
mod synchronous;
mod table;
mod task;
mod transaction;
mod transaction_error;
mod transactional;
mod wakeups;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;

pub use self::{
    builder::SqliteStoreBuilder,
    open_error::{OpenError, OpenErrorKind},
    synchronous::Synchronous,
    transaction::SqliteTransaction,
    transaction_error::TransactionError,
};
use self::{
    failure::Failure, file::File, places::Places, readers::Readers, wakeups::Wakeups, writer::Order,
};
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    record_name::RecordName,
    runtime,
    store::{Changed, Claim, Claimed, Completion, Effects, Renewal, Store, StoreError},
};

/// Keeps claims and records in a SQLite file, for all processes of one machine; clones share its
/// threads and connections.
///
/// ```
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_idempotency::{IdempotencyLayer, SqliteStore};
///
/// let store = SqliteStore::open("idempotency.db").await?;
/// let layer = IdempotencyLayer::new(store).require_key();
/// # Ok(()) }
/// ```
///
/// # What it promises
///
/// What was acknowledged survives a kill of the process at any moment, and with
/// [`Synchronous::Full`] (the default) a crash of the machine.
///
/// Leases are measured by the machine's clock. Set forward, it ends leases and records early by as
/// much. Set back, it makes no lease longer than the lease that was asked for, once somebody else
/// claims.
///
/// # Two modes
///
/// By default a claim is committed before the handler runs. The handler may do anything; if the
/// process dies in it, nobody knows what was done. A handler that writes to the same database can
/// tie its own transaction to the claim by the [`Guard`](crate::Guard).
///
/// A [`transactional`](Self::transactional) store has the handler write in the transaction in which
/// its answer is recorded. Then what it wrote there is there exactly once, whatever dies.
///
/// # How it works
///
/// One thread writes: operations that come while it waits for the disk are committed together.
/// Others read: a replay waits neither for a sync nor for the writer. What is in memory is read on
/// the caller's own thread, in microseconds; what has to come from the disk takes a twentieth of one
/// thread's time at most, and is then read by threads of the store's. Other processes may use the
/// file at the same time, with stores or without; stores write in turn.
///
/// Two tables, `tower_idempotency` and `tower_idempotency_schema`, are all it makes there, and
/// beside the file an empty one, with `-queue` after its name, for the turns. The database has a
/// write-ahead log from then on.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    transactional: bool,
}

struct Shared {
    file: File,
    deadline: Duration,
    orders: Sender<Order>,
    readers: Arc<Readers>,
    wakeups: Wakeups,
    places: Arc<Places>,
    guard: Arc<str>,
}

impl SqliteStore {
    /// Opens the store in a file, with the defaults of the [`builder`](Self::builder). The file is
    /// made where there is none.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] if the file cannot be opened or written to, is damaged, or has a store of
    /// a newer version in it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().open(path).await
    }

    /// Opens the store in the file of a connection of your own, with the defaults of the
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if the connection's database has no file.
    pub async fn open_with(connection: Connection) -> Result<Self, OpenError> {
        Self::builder().open_with(connection).await
    }

    /// Returns a builder with every setting.
    pub const fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder::new()
    }

    /// Returns the same store in the transactional mode, with the same threads and connections, so that
    /// routes of both modes can be beside one another: a claim opens a transaction, the handler
    /// writes in it ([`SqliteTransaction`]), and the record of its answer is committed with what
    /// it wrote.
    ///
    /// SQLite has one transaction that writes at a time, so handlers run one after another, and
    /// everything else that writes to the database waits for them. A duplicate of a request that
    /// runs in the same process does not queue: it is answered, or waits, as the layer is set up.
    /// One in another process queues until it finds the record, within the deadline.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Ends an operation within the deadline.
    async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        let ended = runtime::timeout(self.shared.deadline, operation).await;
        Ok(ended.unwrap_or(Err(Failure::Late))?)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("file", &self.shared.file)
            .field("deadline", &self.shared.deadline)
            .field("transactional", &self.transactional)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let shared = &self.shared;
        if self.transactional {
            let claimed = shared.claim_transaction(claim, fingerprint, unknown_outcome);
            self.within(claimed).await
        } else {
            let claimed = shared.claim(claim, fingerprint, unknown_outcome);
            self.within(claimed).await
        }
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        if self.transactional {
            Ok(self.shared.renew_transaction(claim))
        } else {
            self.within(self.shared.renew(claim)).await
        }
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        if self.transactional {
            let completed = self.shared.complete_transaction(claim, record, effects);
            // What takes longer may still be committed, or not. Either way it is not repeated.
            Ok(runtime::timeout(self.shared.deadline, completed)
                .await
                .unwrap_or(Completion::Undone))
        } else {
            self.within(self.shared.complete(claim, record)).await
        }
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        if self.transactional {
            self.within(self.shared.roll_back_transaction(claim)).await
        } else {
            self.within(self.shared.release(claim)).await
        }
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        if self.transactional {
            self.within(self.shared.roll_back_transaction(claim)).await
        } else {
            self.within(self.shared.abandon(claim)).await
        }
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.shared.wakeups.changed(*name)
    }
}
