use rusqlite::{Connection, OptionalExtension};

use super::open_error::{OpenError, OpenErrorKind};

/// What makes each version of the tables from the one before.
const STEPS: [&str; 1] = [include_str!("schema-1.sql")];

/// Not `user_version`, which is the application's own where the file is.
const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS tower_idempotency_schema (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  version INTEGER NOT NULL
) STRICT";

/// Makes or upgrades the tables, inside a transaction that writes: of many that start at once, one
/// does it and the others find it done.
pub(super) fn upgrade(connection: &Connection) -> Result<(), OpenError> {
    let found = version(connection)?;
    if found == STEPS.len() {
        return Ok(());
    }
    let steps = STEPS
        .get(found..)
        .ok_or(OpenError::new(OpenErrorKind::Newer))?;
    for step in steps {
        connection.execute_batch(step)?;
    }
    connection.execute_batch(VERSION_TABLE)?;
    connection.execute(
        "INSERT OR REPLACE INTO tower_idempotency_schema VALUES (1, ?1)",
        [i64::try_from(STEPS.len()).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Says whether the tables are there, as this version makes them.
pub(super) fn is_current(connection: &Connection) -> Result<bool, OpenError> {
    Ok(version(connection)? == STEPS.len())
}

/// Returns the version of the tables that are there, 0 for none.
fn version(connection: &Connection) -> Result<usize, OpenError> {
    const TABLE: &str = "SELECT 1 FROM sqlite_schema WHERE name = 'tower_idempotency_schema'";
    let made = connection.query_row(TABLE, [], |_| Ok(())).optional()?;
    if made.is_none() {
        return Ok(0);
    }
    let version: i64 =
        connection.query_row("SELECT version FROM tower_idempotency_schema", [], |row| {
            row.get(0)
        })?;
    usize::try_from(version).map_err(|_| OpenError::new(OpenErrorKind::Newer))
}
