use std::sync::Arc;

use super::table::Table;

/// The statements of a store, with the names of its tables in them.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) schema: String,
    pub(super) look: String,
    pub(super) claim: String,
    pub(super) renew: String,
    pub(super) complete: String,
    pub(super) abandon: String,
    pub(super) held: String,
    pub(super) clean_up: String,
    pub(super) find: String,
    pub(super) find_owner: String,
    pub(super) keep: String,
    pub(super) locked: String,
    pub(super) wake: String,
    pub(super) find_entry: String,
    pub(super) forget: String,
    pub(super) repair: String,
    pub(super) list: String,
    pub(super) guard: Arc<str>,
}

/// Where the handler's own writes begin.
pub(super) const SAVEPOINT: &str = "SAVEPOINT tower_idempotency";
pub(super) const UNDO: &str = "ROLLBACK TO SAVEPOINT tower_idempotency";

/// Whether all of three relations are there.
pub(super) const IS_MADE: &str = "SELECT to_regclass($1::text) IS NOT NULL AND to_regclass($2::text) IS NOT NULL \
                       AND to_regclass($3::text) IS NOT NULL";

/// A page of entries in the order of names: $1 the last name that was told, $2 how many.
const PAGE: &str = "WHERE kept.name > $1::bytea AND octet_length(kept.name) = 32
ORDER BY kept.name LIMIT $2::bigint";

fn entries(which: &str) -> String {
    format!("{}{which}", include_str!("entry.sql"))
}

impl Statements {
    pub(super) fn of(table: &Table) -> Self {
        let schema = table.fill(include_str!("schema.sql"));
        let lock = table.schema_lock();
        Self {
            // One script is one transaction. Two servers at once would both find no table.
            schema: format!("SELECT pg_advisory_xact_lock({lock});\n{schema}"),
            look: table.fill(include_str!("look.sql")),
            claim: table.fill(include_str!("claim.sql")),
            renew: table.fill(include_str!("renew.sql")),
            complete: table.fill(include_str!("complete.sql")),
            abandon: table.fill(include_str!("abandon.sql")),
            held: table.fill(include_str!("held.sql")),
            clean_up: table.fill(include_str!("clean_up.sql")),
            find: table.fill(include_str!("find.sql")),
            find_owner: table.fill(include_str!("find_owner.sql")),
            keep: table.fill(include_str!("keep.sql")),
            locked: table.fill(include_str!("locked.sql")),
            wake: table.fill(include_str!("wake.sql")),
            find_entry: table.fill(&entries("WHERE kept.name = $1::bytea")),
            forget: table.fill(include_str!("forget.sql")),
            repair: table.fill(include_str!("repair.sql")),
            list: table.fill(&entries(PAGE)),
            guard: table.fill(include_str!("guard.sql")).trim_end().into(),
        }
    }
}
