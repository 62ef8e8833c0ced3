use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::Connection;

use super::failure::Failure;

/// Keeps everybody but the store from committing on the store's connection: a handler that
/// commits the transaction itself would tear its effect from its record.
///
/// While the gate is shut, SQLite turns every commit into a rollback, whatever the statement.
#[derive(Debug)]
pub(super) struct Gate {
    shut: Arc<AtomicBool>,
}

impl Gate {
    #[allow(
        clippy::let_unit_value,
        reason = "later versions of rusqlite may fail here"
    )]
    pub(super) fn install(connection: &mut Connection) -> Self {
        let shut = Arc::new(AtomicBool::new(false));
        let is_shut = Arc::clone(&shut);
        let _ = connection.commit_hook(Some(move || is_shut.load(Ordering::Relaxed)));
        Self { shut }
    }

    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    pub(super) fn open(&self) {
        self.shut.store(false, Ordering::Relaxed);
    }
}

/// Commits; what could not be committed is rolled back.
pub(super) fn commit(connection: &Connection) -> Result<(), Failure> {
    let committed = connection.execute_batch("COMMIT");
    if committed.is_err() {
        roll_back(connection);
    }
    Ok(committed?)
}

/// Rolls back, if there is a transaction.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // What cannot be rolled back now is once the connection is closed or used again.
        let _ = connection.execute_batch("ROLLBACK");
    }
}
