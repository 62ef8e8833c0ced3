use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::{clock, failure::Failure};
use crate::{
    fingerprint::Fingerprint,
    record_name::RecordName,
    store::{Claim, OwnerToken},
};

/// What is kept under a name.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) state: State,
    pub(super) owner: OwnerToken,
    pub(super) fence: u64,
    pub(super) attempt: u32,
    pub(super) fingerprint: Vec<u8>,
    deadline: i64,
    lease: i64,
    expires: i64,
    pub(super) effect_committed: bool,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    InFlight,
    Abandoned,
    Completed(Vec<u8>),
}

pub(super) const IN_FLIGHT: i64 = 0;
pub(super) const ABANDONED: i64 = 1;
pub(super) const COMPLETED: i64 = 2;

const SELECT: &str = "SELECT state, owner, fence, attempt, fingerprint, deadline, lease, expires,
  effect_committed, record FROM tower_idempotency WHERE name = ?1";

impl Row {
    /// Reads what is kept under a name and has not expired.
    pub(super) fn read(
        connection: &Connection,
        name: &RecordName,
        now: i64,
    ) -> Result<Option<Self>, Failure> {
        let mut select = connection.prepare_cached(SELECT)?;
        let row = select
            .query_row([name.as_bytes()], |row| Ok(Self::from_columns(row)))
            .optional()?;
        Ok(row.transpose()?.filter(|row| row.expires > now))
    }

    fn from_columns(row: &rusqlite::Row<'_>) -> Result<Self, Failure> {
        let state = match row.get(0)? {
            IN_FLIGHT => State::InFlight,
            ABANDONED => State::Abandoned,
            COMPLETED => State::Completed(row.get(9)?),
            _ => return Err(Failure::Row),
        };
        let owner: Vec<u8> = row.get(1)?;
        let owner = owner.try_into().map_err(|_| Failure::Row)?;
        Ok(Self {
            state,
            owner: OwnerToken::from_bytes(owner),
            fence: row.get::<_, i64>(2)?.try_into().map_err(|_| Failure::Row)?,
            attempt: row.get(3)?,
            fingerprint: row.get(4)?,
            deadline: row.get(5)?,
            lease: row.get(6)?,
            expires: row.get(7)?,
            effect_committed: row.get(8)?,
        })
    }

    pub(super) fn fingerprint(&self) -> Result<Fingerprint, Failure> {
        let bytes = self.fingerprint[..].try_into().map_err(|_| Failure::Row)?;
        Ok(Fingerprint::from_bytes(bytes))
    }

    pub(super) fn is_in_flight_by(&self, claim: &Claim) -> bool {
        matches!(self.state, State::InFlight) && self.owner == *claim.owner()
    }

    /// Says how much is left of a claim's lease.
    pub(super) fn left(&self, now: i64) -> Left {
        let left = self.deadline.saturating_sub(now);
        if !matches!(self.state, State::InFlight) || left <= 0 {
            Left::Nothing
        } else if left > self.lease {
            Left::TooMuch(clock::duration(self.lease))
        } else {
            Left::Of(clock::duration(left))
        }
    }
}

/// What is left of a lease.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left {
    Nothing,
    Of(Duration),
    /// The clock was set back. Whoever lives will renew; whoever died holds the key for one lease.
    TooMuch(Duration),
}
