use rusqlite::{Connection, params};

use super::{
    clock,
    decision::Decision,
    failure::Failure,
    row::{Row, State},
};
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    store::{Acquired, Claim, Claimed, Completion, Renewal},
};

/// The claims and records of a file. Each operation is one decision and one statement at most, so
/// that one that fails leaves nothing behind in the transaction that it is part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) connection: &'a Connection,
    /// How large the file may be when something new is claimed.
    pub(super) max_bytes: Option<u64>,
}

impl Table<'_> {
    pub(super) fn claim(
        self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Failure> {
        let now = clock::now();
        let row = Row::read(self.connection, claim.name(), now)?;
        match Decision::on(row, claim, fingerprint, unknown_outcome, now)? {
            Decision::New => {
                self.check_bound()?;
                self.insert(claim, fingerprint, now)?;
                Ok(Claimed::Acquired(Acquired::new(1, 1)))
            }
            Decision::Resent(acquired) => Ok(Claimed::Acquired(acquired)),
            Decision::TakeOver(acquired) => {
                self.take_over(claim, &acquired, now)?;
                Ok(Claimed::Acquired(acquired))
            }
            Decision::Answer(claimed) => Ok(claimed),
            Decision::Shorten(claimed, deadline) => {
                let mut update = self
                    .connection
                    .prepare_cached("UPDATE tower_idempotency SET deadline = ?2 WHERE name = ?1")?;
                update.execute(params![claim.name().as_bytes(), deadline])?;
                Ok(claimed)
            }
        }
    }

    pub(super) fn renew(self, claim: &Claim) -> Result<Renewal, Failure> {
        let now = clock::now();
        let [deadline, lease, expires] = times(claim, now);
        let mut renew = self.connection.prepare_cached(include_str!("renew.sql"))?;
        let renewed = renew.execute(params![
            claim.name().as_bytes(),
            claim.owner().as_bytes(),
            deadline,
            lease,
            expires,
            now
        ])?;
        Ok(if renewed == 1 {
            Renewal::Renewed
        } else {
            Renewal::Lost
        })
    }

    pub(super) fn complete(self, claim: &Claim, record: &[u8]) -> Result<Completion, Failure> {
        let now = clock::now();
        match Row::read(self.connection, claim.name(), now)? {
            Some(row) if row.owner != *claim.owner() => return Ok(Completion::Superseded),
            Some(row) if matches!(row.state, State::Abandoned) => {
                return Ok(Completion::Superseded);
            }
            Some(row) if matches!(row.state, State::Completed(_)) => return Ok(Completion::Kept),
            _ => {}
        }
        self.record(claim, record, now)?;
        Ok(Completion::Kept)
    }

    /// Puts a record under a name, whatever is there.
    pub(super) fn record(self, claim: &Claim, record: &[u8], now: i64) -> Result<(), Failure> {
        let mut complete = self
            .connection
            .prepare_cached(include_str!("complete.sql"))?;
        complete.execute(params![
            claim.name().as_bytes(),
            claim.owner().as_bytes(),
            now.saturating_add(clock::millis(claim.ttl())),
            record
        ])?;
        Ok(())
    }

    pub(super) fn release(self, claim: &Claim) -> Result<(), Failure> {
        match Row::read(self.connection, claim.name(), clock::now())? {
            // Of a later fence it stays known, or the fence would be used twice; and so it does of
            // an effect that is there.
            Some(row) if row.fence == 1 && !row.effect_committed && row.is_in_flight_by(claim) => {
                let mut delete = self
                    .connection
                    .prepare_cached("DELETE FROM tower_idempotency WHERE name = ?1")?;
                delete.execute([claim.name().as_bytes()])?;
                Ok(())
            }
            Some(_) => self.abandon(claim),
            None => Ok(()),
        }
    }

    pub(super) fn abandon(self, claim: &Claim) -> Result<(), Failure> {
        let mut abandon = self.connection.prepare_cached(
            "UPDATE tower_idempotency SET state = 1 WHERE name = ?1 AND owner = ?2 AND state = 0",
        )?;
        abandon.execute(params![claim.name().as_bytes(), claim.owner().as_bytes()])?;
        Ok(())
    }

    /// Fails where there is no room for something new. What was begun may overshoot.
    pub(super) fn check_bound(self) -> Result<(), Failure> {
        let Some(max_bytes) = self.max_bytes else {
            return Ok(());
        };
        let mut pages = self.connection.prepare_cached(
            "SELECT (page_count - freelist_count) * page_size
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )?;
        let used: i64 = pages.query_row([], |row| row.get(0))?;
        if u64::try_from(used).unwrap_or_default() >= max_bytes {
            return Err(Failure::Bound);
        }
        Ok(())
    }

    fn insert(self, claim: &Claim, fingerprint: &Fingerprint, now: i64) -> Result<(), Failure> {
        let [deadline, lease, expires] = times(claim, now);
        let mut insert = self.connection.prepare_cached(include_str!("claim.sql"))?;
        insert.execute(params![
            claim.name().as_bytes(),
            claim.owner().as_bytes(),
            fingerprint.as_bytes(),
            deadline,
            lease,
            expires
        ])?;
        Ok(())
    }

    fn take_over(self, claim: &Claim, acquired: &Acquired, now: i64) -> Result<(), Failure> {
        let [deadline, lease, expires] = times(claim, now);
        let mut update = self
            .connection
            .prepare_cached(include_str!("take_over.sql"))?;
        update.execute(params![
            claim.name().as_bytes(),
            claim.owner().as_bytes(),
            i64::try_from(acquired.fence).map_err(|_| Failure::Row)?,
            acquired.attempt,
            deadline,
            lease,
            expires
        ])?;
        Ok(())
    }
}

/// Returns a claim's deadline, its lease, and when it expires.
fn times(claim: &Claim, now: i64) -> [i64; 3] {
    let lease = clock::millis(claim.lease());
    let deadline = now.saturating_add(lease);
    [
        deadline,
        lease,
        deadline.saturating_add(clock::millis(claim.ttl())),
    ]
}
