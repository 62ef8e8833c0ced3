use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{begin::begin, clock, failure::Failure, gate, queue::Queue};

/// Removes what has expired, a little at a time, and gives its room back to the disk.
#[derive(Debug)]
pub(super) struct Sweep {
    next: Instant,
    /// Set where somebody else wrote the file, so that there is nothing that may shrink it.
    shrinks: bool,
}

/// How long nothing is removed once nothing was left to remove.
const INTERVAL: Duration = Duration::from_secs(60);

/// How long the writer does something else between two steps, if there is anything.
const PAUSE: Duration = Duration::from_millis(20);

/// How long it waits for who else writes.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many rows go at once.
const ROWS: i64 = 200;

/// How many free pages the file keeps for what comes next.
const FREE_PAGES: i64 = 1000;

/// How many pages are given back at once.
const PAGES: i64 = 250;

impl Sweep {
    pub(super) fn new(connection: &Connection) -> Self {
        let mode = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0));
        Self {
            next: Instant::now() + PAUSE,
            shrinks: mode.is_ok_and(|mode| mode == 2),
        }
    }

    pub(super) fn due_in(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Removes a little. What fails is tried again after a while.
    pub(super) fn step(&mut self, connection: &Connection, queue: &mut Queue) {
        let pause = match self.remove(connection, queue) {
            Ok(Left::Something) => PAUSE,
            Ok(Left::Nothing) | Err(_) => INTERVAL,
        };
        self.next = Instant::now() + pause;
    }

    fn remove(&self, connection: &Connection, queue: &mut Queue) -> Result<Left, Failure> {
        // Nothing is written where there is nothing to remove.
        let mut expired = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tower_idempotency WHERE expires <= ?1)",
        )?;
        if expired.query_row([clock::now()], |row| row.get(0))? {
            begin(connection, queue, Instant::now() + PATIENCE)?;
            let removed = connection
                .prepare_cached(include_str!("sweep.sql"))
                .and_then(|mut sweep| sweep.execute([clock::now(), ROWS]));
            if removed.is_err() {
                gate::roll_back(connection);
            }
            removed?;
            gate::commit(connection)?;
            return Ok(Left::Something);
        }
        self.shrink(connection)
    }

    fn shrink(&self, connection: &Connection) -> Result<Left, Failure> {
        let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if !self.shrinks || free <= FREE_PAGES {
            return Ok(Left::Nothing);
        }
        let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(Left::Something)
    }
}

/// Whether a step left something to do.
enum Left {
    Something,
    Nothing,
}
