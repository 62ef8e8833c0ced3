use std::{fmt, sync::Arc};

use crate::{
    record_name::RecordName,
    store::{Claim, OwnerToken},
};

/// One SQL statement that ties a handler's own transaction to its claim.
///
/// The handler runs it inside the transaction that holds its writes, with [`name`](Guard::name),
/// [`owner`](Guard::owner) and [`fence`](Guard::fence) as parameters 1 to 3. It hits one row while
/// this run is the key's owner, and none otherwise: roll back then, since another run has taken
/// over. Once that transaction is committed, every later attempt at the request is told so
/// ([`IdempotencyContext::effect_committed`](crate::IdempotencyContext::effect_committed)).
#[derive(Clone)]
pub struct Guard(Arc<Parts>);

struct Parts {
    sql: Arc<str>,
    name: RecordName,
    owner: OwnerToken,
    fence: i64,
}

impl Guard {
    /// Makes the guard of an acquired claim, for stores that share a database with their users.
    #[must_use]
    pub fn new(sql: Arc<str>, claim: &Claim, fence: u64) -> Self {
        Self(Arc::new(Parts {
            sql,
            name: *claim.name(),
            owner: *claim.owner(),
            fence: i64::try_from(fence).unwrap_or(i64::MAX),
        }))
    }

    /// Returns the statement, in the dialect of the store's database.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// Returns its first parameter: the record name, 32 bytes.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.name.as_bytes()
    }

    /// Returns its second parameter: the owner token, 16 bytes.
    #[must_use]
    pub fn owner(&self) -> &[u8] {
        self.0.owner.as_bytes()
    }

    /// Returns its third parameter: the fencing number.
    #[must_use]
    pub fn fence(&self) -> i64 {
        self.0.fence
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("sql", &self.0.sql)
            .field("name", &self.0.name)
            .field("fence", &self.0.fence)
            .finish_non_exhaustive()
    }
}
