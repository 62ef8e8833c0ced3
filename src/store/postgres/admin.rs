//! What operators ask for.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    PostgresStore,
    claimed::millis,
    core::Core,
    driver::Param::{self, Bool, Bytes as Binary, Int, Text},
    failure::Failure,
    row::Row,
};
use crate::{
    admin::{Admin, Cursor, Entry, Force, Forgotten, List, Page, Repair, Repaired, State},
    events,
    fingerprint::Fingerprint,
    record_name::RecordName,
    runtime,
    store::StoreError,
};

/// How often it is tried again to change a key that another statement has locked: longer than any
/// takes, but those of a guard's transaction.
const TRIES: u32 = 7;
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

#[async_trait]
impl Admin for PostgresStore {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        events::looked_at(name);
        let statement = &self.core.statements.find_entry;
        let rows = self
            .core
            .query(statement, &[Binary(name.as_bytes())])
            .await?;
        let Some(row) = rows.first().filter(|row| !has_expired(row)) else {
            return Ok(None);
        };
        Ok(Some(entry(row)?.ok_or_else(Failure::foreign)?))
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        events::response_shown(name);
        let statement = &self.core.statements.look;
        let rows = self
            .core
            .query(statement, &[Binary(name.as_bytes())])
            .await?;
        let found = rows.first().map(|row| row.bytes_or_null(0)).transpose()?;
        Ok(found.flatten())
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        let forgotten = self.core.forget(name, force).await?;
        events::forgotten(name, force, forgotten);
        Ok(forgotten)
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        let repaired = self.core.repair(repair).await?;
        events::repaired(repair, repaired);
        Ok(repaired)
    }

    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        let page = self.core.list(list).await?;
        events::listed(&page);
        Ok(page)
    }
}

impl Core {
    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, Failure> {
        let message = Self::message(name);
        let params = [
            Binary(name.as_bytes()),
            Bool(force == Force::Yes),
            Int(self.table.waiters_lock(name)),
            Text(&self.channel),
            Text(&message),
        ];
        let answer = self.change(name, &self.statements.forget, &params).await?;
        match &*answer {
            "forgotten" => Ok(Forgotten::Forgotten),
            "absent" => Ok(Forgotten::Absent),
            "in-flight" | "locked" => Ok(Forgotten::InFlight),
            _ => Err(Failure::foreign()),
        }
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, Failure> {
        let name = repair.name();
        let message = Self::message(name);
        let params = [
            Binary(name.as_bytes()),
            Binary(repair.owner().as_bytes()),
            Binary(repair.record()),
            Int(millis(repair.kept_for())),
            // What was read from here fits.
            Int(i64::try_from(repair.fence()).unwrap_or(i64::MAX)),
            Binary(repair.fingerprint().as_bytes()),
            Int(self.table.waiters_lock(name)),
            Text(&self.channel),
            Text(&message),
        ];
        let answer = self.change(name, &self.statements.repair, &params).await?;
        match &*answer {
            "recorded" => Ok(Repaired::Recorded),
            "absent" => Ok(Repaired::Absent),
            "in-flight" | "locked" => Ok(Repaired::InFlight),
            "completed" => Ok(Repaired::Completed),
            "changed" => Ok(Repaired::Changed),
            _ => Err(Failure::foreign()),
        }
    }

    /// Changes a key, once nobody has it locked, and returns what that came to.
    async fn change(
        &self,
        name: &RecordName,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<String, Failure> {
        let mut pause = SHORTEST_PAUSE;
        for _ in 0..TRIES {
            let answer = self.ask(statement, params).await?;
            if answer != "locked" {
                self.waiters.wake(name);
                return Ok(answer);
            }
            runtime::sleep(pause).await;
            pause *= 2;
        }
        self.ask(statement, params).await
    }

    async fn ask(&self, statement: &str, params: &[Param<'_>]) -> Result<String, Failure> {
        let rows = self.query(statement, params).await?;
        let row = rows.first().ok_or_else(Failure::foreign)?;
        Ok(row.text(0)?.to_owned())
    }

    async fn list(&self, list: &List) -> Result<Page, Failure> {
        let after = list.begins_at().map_or(&[][..], |cursor| cursor.as_bytes());
        let params = [
            Binary(after),
            Int(i64::try_from(list.keys()).unwrap_or(i64::MAX)),
        ];
        let rows = self.query(&self.statements.list, &params).await?;
        let (mut entries, mut unreadable) = (Vec::new(), 0);
        for row in &rows {
            match entry(row) {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) if has_expired(row) => {}
                Ok(None) | Err(_) => unreadable += 1,
            }
        }
        let is_full = rows.len() >= list.keys();
        let next = rows.last().filter(|_| is_full);
        let next = next.map(|row| row.bytes(0)).transpose()?;
        let next = next.map(|name| name[..].try_into().map(Cursor::from_bytes));
        let next = next.transpose().map_err(|_| Failure::foreign())?;
        Ok(list.page(entries, unreadable, next))
    }
}

fn has_expired(row: &Row) -> bool {
    matches!(row.text(1), Ok("expired"))
}

/// Reads a row; none, if it has expired or is in a state that this version does not know.
fn entry(row: &Row) -> Result<Option<Entry>, Failure> {
    let Ok(state) = row.text(1)?.parse() else {
        return Ok(None);
    };
    let name = row.bytes(0)?;
    let name = name[..].try_into().map_err(|_| Failure::foreign())?;
    let expires_in = Duration::from_millis(row.count(6)?);
    let mut entry = Entry::new(RecordName::from_bytes(name), state, expires_in);
    entry.effect_committed = row.bool(8)?;
    if state == State::Completed {
        entry.bytes = row.count(7)?;
        return Ok(Some(entry));
    }
    if state == State::InFlight {
        entry.lease_left = Some(Duration::from_millis(row.count(5)?));
    }
    let fingerprint = row.bytes(4)?;
    let fingerprint = fingerprint[..].try_into().map_err(|_| Failure::foreign())?;
    entry.fence = Some(row.count(2)?);
    entry.attempt = Some(row.count(3)?);
    entry.fingerprint = Some(Fingerprint::from_bytes(fingerprint));
    Ok(Some(entry))
}
