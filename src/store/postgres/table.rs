use sha2::{Digest, Sha256};

use super::invalid_name::InvalidName;
use crate::{hex::Hex, record_name::RecordName};

/// The tables of one store: what they are called, and the locks and the channel that go with them.
#[derive(Debug, Clone)]
pub(super) struct Table {
    schema: String,
    name: String,
    /// Keeps stores of other tables in the same database apart.
    salt: [u8; 24],
}

/// The longest name in PostgreSQL, in bytes; it cuts longer ones off.
const LONGEST: usize = 63;
/// The longest of what is added to the table's name.
const INDEX: &str = "_expires_at";

impl Table {
    pub(super) fn new(schema: &str, name: &str) -> Result<Self, InvalidName> {
        for (name, longest) in [(schema, LONGEST), (name, LONGEST - INDEX.len())] {
            if name.is_empty() || name.len() > longest || name.contains('\0') {
                return Err(InvalidName::new(name, longest));
            }
        }
        let mut digest = Sha256::new();
        digest.update(b"tower-idempotency\0");
        digest.update(schema);
        digest.update(b"\0");
        digest.update(name);
        let salt = digest.finalize();
        Ok(Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
            salt: std::array::from_fn(|index| salt[index]),
        })
    }

    /// Puts the names into a statement.
    pub(super) fn fill(&self, sql: &str) -> String {
        let [table, effects, _] = self.relations();
        sql.replace("{table}", &table)
            .replace("{effects}", &effects)
            .replace("{index}", &quoted(&format!("{}{INDEX}", self.name)))
    }

    /// The names of all that is made: two tables and an index.
    pub(super) fn relations(&self) -> [String; 3] {
        ["", "_effects", INDEX].map(|ending| {
            let (schema, name) = (quoted(&self.schema), format!("{}{ending}", self.name));
            format!("{schema}.{}", quoted(&name))
        })
    }

    /// The advisory lock of whoever works under a key, in the transactional mode.
    pub(super) fn lock(&self, name: &RecordName) -> i64 {
        self.salted(0, name)
    }

    /// The advisory lock of those who wait for a key to change.
    pub(super) fn waiters_lock(&self, name: &RecordName) -> i64 {
        self.salted(8, name)
    }

    /// The advisory lock of whoever makes the tables.
    pub(super) fn schema_lock(&self) -> i64 {
        i64::from_be_bytes(std::array::from_fn(|index| self.salt[index]))
    }

    /// The channel on which changes are told.
    pub(super) fn channel(&self) -> String {
        format!("idempotency_{}", Hex(&self.salt[16..]))
    }

    fn salted(&self, start: usize, name: &RecordName) -> i64 {
        let name = &name.as_bytes()[start..];
        let salt = &self.salt[start..];
        i64::from_be_bytes(std::array::from_fn(|index| name[index] ^ salt[index]))
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
