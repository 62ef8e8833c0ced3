use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    Shared, SqliteStore,
    file::File,
    open_error::{OpenError, OpenErrorKind},
    places::Places,
    readers::Readers,
    synchronous::Synchronous,
    wakeups::Wakeups,
    writer::{Order, Writer},
};
use crate::store::keys::Keys;

/// Sets up a [`SqliteStore`], and opens it.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it opens"]
pub struct SqliteStoreBuilder {
    deadline: Duration,
    synchronous: Synchronous,
    max_bytes: Option<u64>,
    transactional: bool,
}

impl SqliteStoreBuilder {
    pub(super) const fn new() -> Self {
        Self {
            deadline: Duration::from_secs(2),
            synchronous: Synchronous::Full,
            max_bytes: None,
            transactional: false,
        }
    }

    /// Has each claim open a transaction, which the handler finds as a
    /// [`SqliteTransaction`](crate::SqliteTransaction): its writes and the record commit together.
    /// See [`SqliteStore::transactional`].
    ///
    /// Default: claims are committed first, and the handler's writes are its own.
    pub const fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Sets how long an operation may take, the time included in which other processes, or other
    /// transactions, write. One that takes longer is
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable), and the request is answered 503.
    ///
    /// It belongs below a third of the lease, so that a renewal can be tried again.
    ///
    /// Default: 2 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.max(Duration::from_millis(1));
        self
    }

    /// Sets what a crash of the machine may take.
    ///
    /// Default: [`Synchronous::Full`], nothing that was acknowledged.
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets how large the database may be, in bytes and without its free pages, before a new key is
    /// refused ([`Full`](crate::store::StoreErrorKind::Full), 503). What was begun may overshoot,
    /// and replays go on. What else is in the database counts too.
    ///
    /// Default: not set; the disk is the bound.
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Opens the store in a file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] if the file cannot be opened or written to, is damaged, or has a store of
    /// a newer version in it.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref().to_owned();
        self.start(path, None).await
    }

    /// Opens the store in the file of a connection of your own, which becomes the one that writes:
    /// in the transactional mode it is what handlers get, with its functions and settings.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if the connection's database has no file.
    pub async fn open_with(self, connection: Connection) -> Result<SqliteStore, OpenError> {
        let path = connection.path().map(PathBuf::from).unwrap_or_default();
        self.start(path, Some(connection)).await
    }

    async fn start(
        self,
        path: PathBuf,
        connection: Option<Connection>,
    ) -> Result<SqliteStore, OpenError> {
        let file = File {
            path,
            synchronous: self.synchronous,
        };
        let (orders, receiver) = mpsc::channel();
        let (told, opened) = oneshot::channel();
        let max_bytes = self.max_bytes;
        let (to_open, builder) = (file.clone(), thread::Builder::new());
        // Opening may wait for other processes, and so has the thread that is to write.
        let started = builder.name("idempotency-write".into()).spawn(move || {
            let writer = match connection {
                Some(connection) => to_open.prepare(connection),
                None => to_open.open_writer(),
            };
            let readers = writer.and_then(|writer| Ok((writer, Readers::open(&to_open)?)));
            let (writer, readers) = match readers {
                Ok((writer, readers)) => (Some(writer), Ok(readers)),
                Err(error) => (None, Err(error)),
            };
            // Whoever gave up opening needs no writer.
            if told.send(readers).is_err() {
                return;
            }
            if let Some(writer) = writer {
                Writer::new(writer, max_bytes, receiver).run();
            }
        });
        started.map_err(OpenError::io)?;
        let readers = opened
            .await
            .unwrap_or_else(|_| Err(OpenError::new(OpenErrorKind::Unreachable)))?;
        Ok(self.store(file, orders, readers))
    }

    fn store(self, file: File, orders: mpsc::Sender<Order>, readers: Readers) -> SqliteStore {
        let (keys, readers) = (Arc::<Keys<_>>::default(), Arc::new(readers));
        let places = Arc::new(Places::new(Arc::clone(&keys)));
        SqliteStore {
            shared: Arc::new(Shared {
                file,
                deadline: self.deadline,
                orders,
                wakeups: Wakeups::new(keys, Arc::clone(&readers), Arc::clone(&places)),
                readers,
                places,
                guard: include_str!("guard.sql").into(),
            }),
            transactional: self.transactional,
        }
    }
}
