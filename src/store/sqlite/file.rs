use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    begin::{begin, wait_while_busy},
    failure::Failure,
    gate,
    open_error::{OpenError, OpenErrorKind},
    queue::Queue,
    schema,
    synchronous::Synchronous,
};

/// The file that a store is in.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) synchronous: Synchronous,
}

/// How long opening waits for whoever has the file locked.
const PATIENCE: Duration = Duration::from_secs(10);

impl File {
    /// Opens the connection that writes, and makes or upgrades the tables.
    pub(super) fn open_writer(&self) -> Result<(Connection, Queue), OpenError> {
        self.prepare(Connection::open(&self.path)?)
    }

    /// Sets up a connection that writes, and makes or upgrades the tables. Where they are there, it
    /// waits for nobody who writes.
    pub(super) fn prepare(
        &self,
        #[allow(unused_mut, reason = "rusqlite before 0.43 does not need it")]
        mut connection: Connection,
    ) -> Result<(Connection, Queue), OpenError> {
        connection.busy_timeout(PATIENCE)?;
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if pages == 0 {
            connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        }
        write_ahead(&connection)?;
        connection.execute_batch(self.synchronous.pragmas())?;
        // A log that grew while somebody read for long does not stay so long for ever.
        connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut queue = Queue::beside(connection.path().map_or(&self.path, Path::new));
        if schema::is_current(&connection)? {
            may_write(&connection)?;
            connection.busy_handler(Some(wait_while_busy))?;
        } else {
            connection.busy_handler(Some(wait_while_busy))?;
            begin(&connection, &mut queue, Instant::now() + PATIENCE)?;
            let upgraded = schema::upgrade(&connection);
            if upgraded.is_err() {
                gate::roll_back(&connection);
            }
            upgraded?;
            gate::commit(&connection)?;
        }
        Ok((connection, queue))
    }

    /// Opens a connection that reads.
    pub(super) fn open_reader(&self) -> Result<Connection, OpenError> {
        let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        Ok(connection)
    }
}

/// Switches a file to a write-ahead log: readers and the writer do not wait for one another then.
fn write_ahead(connection: &Connection) -> Result<(), OpenError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(_) => return Err(OpenError::new(OpenErrorKind::Unsupported)),
            // SQLite does not always wait for this lock.
            Err(error) if is_locked(&error) && Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fails where nothing can be written, whoever else writes now.
fn may_write(connection: &Connection) -> Result<(), OpenError> {
    connection.busy_timeout(Duration::ZERO)?;
    // There is no such row, so that nothing is.
    match connection.execute_batch("DELETE FROM tower_idempotency_schema WHERE only = 0") {
        Err(error) if !is_locked(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sqlite(error) => Self::from_shared(error),
            _ => Self::new(OpenErrorKind::Unreachable),
        }
    }
}
