use std::time::Duration;

use bytes::Buf;

use super::{foreign::Foreign, key::Key, value::HEAD};
use crate::{
    Fingerprint, Record, RecordName,
    admin::{Entry, State},
};

/// What `list.lua` tells: where the next page begins, and what is on this one.
pub(super) struct Listed {
    pub(super) next: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) unreadable: usize,
}

impl Listed {
    pub(super) fn read(mut answer: &[u8]) -> Result<Self, Foreign> {
        let digits = take_short(&mut answer)?;
        let digits = std::str::from_utf8(digits).map_err(|_| Foreign::Answer)?;
        let mut listed = Self {
            next: digits.parse().map_err(|_| Foreign::Answer)?,
            entries: Vec::new(),
            unreadable: 0,
        };
        while !answer.is_empty() {
            let text = take(&mut answer, Key::TEXT)?;
            let described = described(&mut answer)?;
            let name = Key::name_of(text);
            match name.and_then(|beginning| described.entry(&beginning, &beginning)) {
                Some(entry) => listed.entries.push(entry),
                None => listed.unreadable += 1,
            }
        }
        Ok(listed)
    }
}

/// Reads what `find.lua` tells of a key that was found under this name.
pub(super) fn found(name: &RecordName, mut answer: &[u8]) -> Result<Entry, Foreign> {
    let described = described(&mut answer)?;
    let beginning = RecordName::beginning(&name.as_bytes()[..Key::BYTES]);
    described.entry(name, &beginning).ok_or(Foreign::Value)
}

/// What `describe.lua` tells of a key.
struct Described<'a> {
    kept: i64,
    len: usize,
    left: i64,
    head: &'a [u8],
}

fn described<'a>(answer: &mut &'a [u8]) -> Result<Described<'a>, Foreign> {
    Ok(Described {
        kept: answer.try_get_i64().map_err(|_| Foreign::Answer)?,
        len: answer.try_get_u32().map_err(|_| Foreign::Answer)? as usize,
        left: answer.try_get_i64().map_err(|_| Foreign::Answer)?,
        head: take_short(answer)?,
    })
}

impl Described<'_> {
    /// Returns what is kept under a name, if this store wrote it; `beginning` is as much of the name
    /// as the key has.
    fn entry(&self, name: &RecordName, beginning: &RecordName) -> Option<Entry> {
        let begins = &beginning.as_bytes()[..Key::BYTES];
        // Without an end, what stands there is kept for ever.
        let expires_in = u64::try_from(self.kept).map_or(Duration::MAX, Duration::from_millis);
        if self.head.starts_with(b"\x01C") && self.len >= HEAD {
            let whole = Record::name_in(self.head.get(HEAD..)?, begins);
            let mut entry = Entry::new(whole.unwrap_or(*name), State::Completed, expires_in);
            entry.bytes = self.len - HEAD;
            return Some(entry);
        }
        let mut claim = self.head.strip_prefix(b"\x01")?;
        if self.len != CLAIM || claim.len() != CLAIM - 1 {
            return None;
        }
        let left = u64::try_from(self.left).unwrap_or(0);
        let state = match (claim.get_u8(), left) {
            (b'A', _) => State::Abandoned,
            (b'P', 0) => State::Lapsed,
            (b'P', _) => State::InFlight,
            _ => return None,
        };
        claim.advance(HEAD - 2);
        let name = take(&mut claim, RecordName::LEN).ok()?;
        if !name.starts_with(begins) {
            return None;
        }
        let mut entry = Entry::new(RecordName::beginning(name), state, expires_in);
        if state == State::InFlight {
            entry.lease_left = Some(Duration::from_millis(left));
        }
        // Deadline and lease.
        claim.advance(8 + 4);
        entry.fence = Some(claim.get_u64());
        entry.attempt = Some(claim.get_u32());
        entry.fingerprint = Some(Fingerprint::from_bytes(claim.try_into().ok()?));
        Some(entry)
    }
}

/// The length of a claim.
const CLAIM: usize = 123;

/// Takes as many bytes as the first one says.
fn take_short<'a>(answer: &mut &'a [u8]) -> Result<&'a [u8], Foreign> {
    let len = answer.try_get_u8().map_err(|_| Foreign::Answer)?;
    take(answer, len.into())
}

fn take<'a>(answer: &mut &'a [u8], len: usize) -> Result<&'a [u8], Foreign> {
    let (taken, rest) = answer.split_at_checked(len).ok_or(Foreign::Answer)?;
    *answer = rest;
    Ok(taken)
}
