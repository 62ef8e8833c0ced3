use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rusqlite::Connection;
use tower_idempotency::SqliteStore;

/// A database in a directory of its own, which is gone with this.
#[derive(Debug)]
pub(crate) struct Database {
    directory: PathBuf,
}

impl Database {
    /// Makes the directory; the file comes with the first store.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-idempotency-sqlite-{}-{number}", process::id());
        let directory = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for temporary files");
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("store.db")
    }

    /// The write-ahead log.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("store.db-wal")
    }

    /// The file in which processes wait for their turn.
    pub(crate) fn queue(&self) -> PathBuf {
        self.directory.join("store.db-queue")
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.path()).await.unwrap()
    }

    /// Opens a connection as anybody else may have one.
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
