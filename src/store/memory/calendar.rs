use std::collections::BTreeMap;

use super::{key::Key, slot::Tag};

/// Keys in the order of the moment at which they want to be looked at.
///
/// They are kept in buckets, each as wide as 1/128 to 1/64 of the time until it is due: some
/// hundred buckets, whatever the ttl. A key is so looked at that much late, and never early.
#[derive(Default)]
pub(super) struct Calendar {
    buckets: BTreeMap<u64, Vec<Entry>>,
}

/// One queued key: 18 bytes.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) tag: Tag,
}

/// The narrowest bucket is 2^20 nanoseconds wide, about a millisecond.
const NARROWEST: u32 = 20;
const PARTS: u32 = 7;

impl Calendar {
    pub(super) fn push(&mut self, entry: Entry, due: u64, now: u64) {
        let bucket = self.buckets.entry(round_up(due, now)).or_default();
        if bucket.len() == bucket.capacity() {
            // Doubling would leave a quarter of all queues empty on average.
            bucket.reserve_exact((bucket.len() / 8).max(4));
        }
        bucket.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.values().map(Vec::len).sum()
    }

    /// Adds keys to a page, from a place on and until it is full; returns the place of the next key.
    ///
    /// A key that comes up moves to a later place. To an earlier one comes only what was taken over,
    /// and its former place stays.
    pub(super) fn read(
        &self,
        (due, offset): (u64, usize),
        page: &mut Vec<Entry>,
        limit: usize,
    ) -> Option<(u64, usize)> {
        for (&bucket, entries) in self.buckets.range(due..) {
            let offset = if bucket == due { offset } else { 0 };
            let rest = entries.get(offset..).unwrap_or_default();
            let room = limit.saturating_sub(page.len());
            if rest.len() > room {
                page.extend_from_slice(&rest[..room]);
                return Some((bucket, offset + room));
            }
            page.extend_from_slice(rest);
        }
        None
    }

    /// Returns the moment at which the next key is due.
    pub(super) fn next_due(&self) -> u64 {
        self.buckets
            .first_key_value()
            .map_or(u64::MAX, |(due, _)| *due)
    }

    /// Takes one of the keys that are due next.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let mut bucket = self.buckets.first_entry()?;
        let entry = bucket.get_mut().pop();
        if bucket.get().is_empty() {
            bucket.remove();
        }
        entry
    }
}

fn round_up(due: u64, now: u64) -> u64 {
    let distance = due.saturating_sub(now);
    if distance < 1 << NARROWEST {
        return due;
    }
    let width = 1 << (distance.ilog2().saturating_sub(PARTS)).max(NARROWEST);
    due.checked_next_multiple_of(width).unwrap_or(u64::MAX)
}
