use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SendError, Sender},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::transaction_error::TransactionError;
use crate::{
    outcome::Effects,
    store::{Acquired, Claim, Completion},
};

/// The open transaction that a request runs in, with
/// [`SqliteStore::transactional`](crate::SqliteStore::transactional).
///
/// What a handler writes in it is committed together with the record of its answer, before the
/// client sees that answer, or not at all. It is in the request's extensions, and with the feature
/// `axum` it is an extractor.
///
/// ```
/// use tower_idempotency::store::{SqliteTransaction, TransactionError};
///
/// async fn transfer(transaction: SqliteTransaction) -> Result<(), TransactionError> {
///     transaction
///         .run(|connection| {
///             connection.execute("UPDATE accounts SET cents = cents - 100 WHERE id = 1", [])?;
///             connection.execute("UPDATE accounts SET cents = cents + 100 WHERE id = 2", [])
///         })
///         .await?;
///     Ok(())
/// }
/// ```
///
/// It is the database's only one that writes: all others wait while the handler has it, so that
/// what takes long belongs elsewhere. A recorded answer of 400 and above undoes what was written,
/// unless the handler says otherwise ([`Effects`]); so does everything that is not recorded.
///
/// The store commits. A handler that commits or rolls back by itself commits nothing, and its
/// request is answered 503. It may use savepoints of its own.
#[derive(Clone)]
pub struct SqliteTransaction {
    inner: Arc<Inner>,
}

/// What all copies of one transaction share. Once none is left, the transaction is rolled back.
pub(super) struct Inner {
    commands: Sender<Command>,
    fence: u64,
    attempt: u32,
    effect_committed: bool,
    /// Until when it stays open if nobody renews it.
    valid_until: Mutex<Instant>,
}

/// What is done with an open transaction.
pub(super) enum Command {
    Run(Box<dyn FnOnce(&Connection) + Send>),
    Complete(Bytes, Effects, oneshot::Sender<Completion>),
    RollBack(oneshot::Sender<()>),
}

impl SqliteTransaction {
    pub(super) fn new(claim: &Claim, acquired: &Acquired, commands: Sender<Command>) -> Self {
        let inner = Inner {
            commands,
            fence: acquired.fence,
            attempt: acquired.attempt,
            effect_committed: acquired.effect_committed,
            valid_until: Mutex::new(Instant::now() + claim.lease()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Runs a function on the connection, inside the transaction, on the connection's own thread.
    ///
    /// Calls run one after another. Nothing blocks the runtime.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Sqlite`] is what the function returned.
    /// [`TransactionError::Ended`] says that the transaction is no more: its lease was lost, the
    /// request was answered, or a handler ended it.
    ///
    /// # Panics
    ///
    /// Panics where the function does.
    pub async fn run<T, F>(&self, work: F) -> Result<T, TransactionError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let run = move |connection: &Connection| {
            // Whoever is gone gets nothing done, and outside a transaction nothing is.
            if reply.is_closed() || connection.is_autocommit() {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| work(connection)));
            if done.is_err() || !connection.is_autocommit() {
                let _ = reply.send(done);
            }
        };
        self.inner
            .send(Command::Run(Box::new(run)))
            .map_err(|_| TransactionError::Ended)?;
        match answer.await {
            Ok(Ok(done)) => done.map_err(TransactionError::Sqlite),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(TransactionError::Ended),
        }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(super) fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Returns the claim, with this transaction to hand out.
    pub(super) fn acquired(self) -> Acquired {
        let mut acquired = Acquired::new(self.inner.fence, self.inner.attempt);
        acquired.effect_committed = self.inner.effect_committed;
        acquired.extensions.insert(self);
        acquired
    }
}

impl Inner {
    pub(super) fn send(&self, command: Command) -> Result<(), SendError<Command>> {
        self.commands.send(command)
    }

    /// Keeps it open for a lease from now, if it is open yet.
    pub(super) fn renew(&self, lease: Duration) {
        *self.valid_until() = Instant::now() + lease;
    }

    /// Returns how long it stays open if nobody renews it.
    pub(super) fn left(&self) -> Duration {
        let valid_until = *self.valid_until();
        valid_until.saturating_duration_since(Instant::now())
    }

    fn valid_until(&self) -> MutexGuard<'_, Instant> {
        self.valid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SqliteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").finish_non_exhaustive()
    }
}
