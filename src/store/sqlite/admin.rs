//! What operators ask for.

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    SqliteStore, clock, entry,
    failure::Failure,
    row::{Left, Row, State},
    table::Table,
};
use crate::{
    admin::{Admin, Entry, Force, Forgotten, List, Page, Repair, Repaired},
    events,
    record_name::RecordName,
    store::StoreError,
};

#[async_trait]
impl Admin for SqliteStore {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        events::looked_at(name);
        let name = *name;
        let read = move |connection: &_| entry::find(connection, &name);
        self.within(self.shared.readers.read(read)).await
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        events::response_shown(name);
        let row = self.within(self.shared.readers.look(name)).await?;
        Ok(row.and_then(|row| match row.state {
            State::Completed(record) => Some(record.into()),
            State::InFlight | State::Abandoned => None,
        }))
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        let of = *name;
        let write = self.shared.write(move |table| table.forget(&of, force));
        let forgotten = self.within(write).await?;
        self.shared.wakeups.wake(name);
        events::forgotten(name, force, forgotten);
        Ok(forgotten)
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        let of = repair.clone();
        let write = self.shared.write(move |table| table.repair(&of));
        let repaired = self.within(write).await?;
        self.shared.wakeups.wake(repair.name());
        events::repaired(repair, repaired);
        Ok(repaired)
    }

    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        let of = list.clone();
        let read = move |connection: &_| entry::list(connection, &of);
        let page = self.within(self.shared.readers.read(read)).await?;
        events::listed(&page);
        Ok(page)
    }
}

impl Table<'_> {
    /// Removes what is kept under a name, also what cannot be read where that is forced.
    fn forget(self, name: &RecordName, force: Force) -> Result<Forgotten, Failure> {
        let now = clock::now();
        match Row::read(self.connection, name, now) {
            Ok(None) => return Ok(Forgotten::Absent),
            Ok(Some(row)) if force == Force::No && row.is_live(now) => {
                return Ok(Forgotten::InFlight);
            }
            Err(Failure::Row) if force == Force::Yes => {}
            Err(failure) => return Err(failure),
            Ok(Some(_)) => {}
        }
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM tower_idempotency WHERE name = ?1")?;
        delete.execute([name.as_bytes()])?;
        Ok(Forgotten::Forgotten)
    }

    /// Ends a claim whose outcome is unknown with a record made by hand.
    fn repair(self, repair: &Repair) -> Result<Repaired, Failure> {
        let now = clock::now();
        let Some(row) = Row::read(self.connection, repair.name(), now)? else {
            return Ok(Repaired::Absent);
        };
        if matches!(row.state, State::Completed(_)) {
            let is_resend = row.owner == *repair.owner();
            return Ok(if is_resend {
                Repaired::Recorded
            } else {
                Repaired::Completed
            });
        }
        if row.is_live(now) {
            return Ok(Repaired::InFlight);
        }
        if row.fence != repair.fence() || row.fingerprint()? != *repair.fingerprint() {
            return Ok(Repaired::Changed);
        }
        self.record(repair.claim(), repair.record(), now)?;
        Ok(Repaired::Recorded)
    }
}

impl Row {
    fn is_live(&self, now: i64) -> bool {
        !matches!(self.left(now), Left::Nothing)
    }
}
