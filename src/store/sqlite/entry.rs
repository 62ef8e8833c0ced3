use rusqlite::{Connection, OptionalExtension, params};

use super::{
    clock,
    failure::Failure,
    row::{ABANDONED, COMPLETED, IN_FLIGHT},
};
use crate::{
    admin::{Cursor, Entry, List, Page, State},
    fingerprint::Fingerprint,
    record_name::RecordName,
};

/// What stands in a row, for an operator: nothing of the record but its length.
enum Found {
    Entry(Entry),
    Expired,
    /// Not of this version's making.
    Unreadable,
}

pub(super) fn find(connection: &Connection, name: &RecordName) -> Result<Option<Entry>, Failure> {
    let mut select = connection.prepare_cached(include_str!("find.sql"))?;
    let now = clock::now();
    let found = select
        .query_row([name.as_bytes()], |row| found(row, now))
        .optional()?;
    match found {
        Some(Found::Entry(entry)) => Ok(Some(entry)),
        Some(Found::Expired) | None => Ok(None),
        Some(Found::Unreadable) => Err(Failure::Row),
    }
}

/// Reads a page in the order of names.
pub(super) fn list(connection: &Connection, list: &List) -> Result<Page, Failure> {
    let after = list.begins_at().map_or(&[][..], |cursor| cursor.as_bytes());
    let limit = i64::try_from(list.keys()).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(include_str!("list.sql"))?;
    let mut rows = select.query(params![after, limit])?;
    let now = clock::now();
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    let (mut reached, mut read) = (None, 0);
    while let Some(row) = rows.next()? {
        read += 1;
        reached = Some(Cursor::from_bytes(row.get(0)?));
        match found(row, now)? {
            Found::Entry(entry) => entries.push(entry),
            Found::Expired => {}
            Found::Unreadable => unreadable += 1,
        }
    }
    let next = reached.filter(|_| read >= list.keys());
    Ok(list.page(entries, unreadable, next))
}

fn found(row: &rusqlite::Row<'_>, now: i64) -> rusqlite::Result<Found> {
    let name = RecordName::from_bytes(row.get(0)?);
    let expires: i64 = row.get(7)?;
    if expires <= now {
        return Ok(Found::Expired);
    }
    let (deadline, lease): (i64, i64) = (row.get(5)?, row.get(6)?);
    // No more than the lease, where the clock was set back.
    let left = deadline.saturating_sub(now).min(lease);
    let state = match row.get(1)? {
        IN_FLIGHT if left > 0 => State::InFlight,
        IN_FLIGHT => State::Lapsed,
        ABANDONED => State::Abandoned,
        COMPLETED => State::Completed,
        _ => return Ok(Found::Unreadable),
    };
    let mut entry = Entry::new(name, state, clock::duration(expires - now));
    entry.effect_committed = row.get(8)?;
    if state == State::Completed {
        entry.bytes = usize::try_from(row.get::<_, i64>(9)?).unwrap_or(usize::MAX);
        return Ok(Found::Entry(entry));
    }
    let fingerprint: Vec<u8> = row.get(4)?;
    let (Ok(fence), Ok(fingerprint)) =
        (u64::try_from(row.get::<_, i64>(2)?), fingerprint.try_into())
    else {
        return Ok(Found::Unreadable);
    };
    entry.lease_left = (state == State::InFlight).then(|| clock::duration(left));
    entry.fence = Some(fence);
    entry.attempt = Some(row.get(3)?);
    entry.fingerprint = Some(Fingerprint::from_bytes(fingerprint));
    Ok(Found::Entry(entry))
}
