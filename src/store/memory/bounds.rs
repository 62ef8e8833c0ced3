use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use super::{clock::nanos, slot::Slot};
use crate::{
    store::{StoreError, StoreErrorKind},
    telemetry::{change, count},
};

/// How much is held, and how much may be.
pub(super) struct Bounds {
    max_entries: Bound,
    max_bytes: Bound,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    /// The most entries since the map was last shrunk.
    peak: AtomicUsize,
    evicted: AtomicU64,
    eviction_reported: AtomicU64,
    nearly_full: AtomicBool,
}

/// A bound, and where nearing it is warned about: above `high`, and again only once it was below
/// `low`.
struct Bound {
    max: usize,
    high: usize,
    low: usize,
}

impl Bound {
    const fn new(max: usize) -> Self {
        Self {
            max,
            high: max - max / 5,
            low: max - max / 10 * 3,
        }
    }
}

/// What a key costs beside its record: its slot, with the room that a hash table leaves free, its
/// place in the queue, and the allocator's share.
pub(super) const KEY_BYTES: usize = 144;

/// What a key costs more while its claim is in flight, lapsed or abandoned.
pub(super) const CLAIM_BYTES: usize = 128;

/// Maps smaller than this are not worth shrinking.
const SHRINK_FROM: usize = 1 << 16;

impl Bounds {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            max_entries: Bound::new(max_entries),
            max_bytes: Bound::new(max_bytes),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            eviction_reported: AtomicU64::new(0),
            nearly_full: AtomicBool::new(false),
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Counts a new claim in, if there is room for it.
    pub(super) fn admit_claim(&self) -> Result<(), Full> {
        let entries = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        if entries > self.max_entries.max {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Entries(self.max_entries.max));
        }
        let cost = KEY_BYTES + CLAIM_BYTES;
        let bytes = self.bytes.fetch_add(cost, Ordering::Relaxed) + cost;
        if bytes > self.max_bytes.max {
            self.bytes.fetch_sub(cost, Ordering::Relaxed);
            self.entries.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Bytes(self.max_bytes.max));
        }
        gauge(1, cost, 0);
        self.note_growth(entries, bytes);
        Ok(())
    }

    /// Counts a new slot in, room or no room: what was begun is completed.
    pub(super) fn add(&self, slot: &Slot) {
        let entries = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(cost(slot), Ordering::Relaxed) + cost(slot);
        gauge(1, cost(slot), 0);
        self.note_growth(entries, bytes);
    }

    pub(super) fn replace(&self, old: &Slot, new: &Slot) {
        self.bytes.fetch_sub(cost(old), Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(cost(new), Ordering::Relaxed) + cost(new);
        gauge(0, cost(new), cost(old));
        self.note_growth(self.entries(), bytes);
    }

    /// Counts a slot out, and returns whether so few are left that the map should shrink.
    pub(super) fn remove(&self, slot: &Slot) -> bool {
        let bytes = self.bytes.fetch_sub(cost(slot), Ordering::Relaxed) - cost(slot);
        let entries = self.entries.fetch_sub(1, Ordering::Relaxed) - 1;
        gauge(-1, 0, cost(slot));
        if self.nearly_full.load(Ordering::Relaxed)
            && entries < self.max_entries.low
            && bytes < self.max_bytes.low
        {
            self.nearly_full.store(false, Ordering::Relaxed);
        }
        let peak = self.peak.load(Ordering::Relaxed);
        peak >= SHRINK_FROM
            && entries < peak / 4
            && self
                .peak
                .compare_exchange(peak, entries, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(super) fn is_over(&self) -> bool {
        self.entries() > self.max_entries.max || self.bytes() > self.max_bytes.max
    }

    /// Counts a record that went early, and says so once a minute.
    pub(super) fn count_evicted(&self, now: u64) {
        let evicted = self.evicted.fetch_add(1, Ordering::Relaxed) + 1;
        count!("idempotency_memory_evicted_total");
        let reported = self.eviction_reported.load(Ordering::Relaxed);
        let is_due = evicted == 1 || now.saturating_sub(reported) >= nanos(Duration::from_secs(60));
        if is_due
            && self
                .eviction_reported
                .compare_exchange(reported, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            warn_evicted(evicted);
        }
    }

    fn note_growth(&self, entries: usize, bytes: usize) {
        if entries > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(entries, Ordering::Relaxed);
        }
        if (entries >= self.max_entries.high || bytes >= self.max_bytes.high)
            && !self.nearly_full.load(Ordering::Relaxed)
            && !self.nearly_full.swap(true, Ordering::Relaxed)
        {
            warn_nearly_full(entries, self.max_entries.max, bytes, self.max_bytes.max);
        }
    }
}

/// Shows what all stores of the process hold together.
fn gauge(entries: i8, more: usize, less: usize) {
    if entries != 0 {
        change!("idempotency_memory_entries", f64::from(entries));
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "a record is shorter than 2^53 bytes"
    )]
    let bytes = more as f64 - less as f64;
    change!("idempotency_memory_bytes", bytes);
}

/// What this store held is no longer held.
impl Drop for Bounds {
    fn drop(&mut self) {
        #[allow(
            clippy::cast_precision_loss,
            reason = "memory is smaller than 2^53 bytes"
        )]
        let (entries, bytes) = (self.entries() as f64, self.bytes() as f64);
        change!("idempotency_memory_entries", -entries);
        change!("idempotency_memory_bytes", -bytes);
    }
}

fn cost(slot: &Slot) -> usize {
    KEY_BYTES + slot.record_len().unwrap_or(CLAIM_BYTES)
}

#[cfg(feature = "tracing")]
fn warn_nearly_full(entries: usize, max_entries: usize, bytes: usize, max_bytes: usize) {
    tracing::warn!(
        entries,
        max_entries,
        bytes,
        max_bytes,
        "the idempotency store in memory is 80 % full; at its bound it takes no new keys"
    );
}

#[cfg(not(feature = "tracing"))]
fn warn_nearly_full(_: usize, _: usize, _: usize, _: usize) {}

#[cfg(feature = "tracing")]
fn warn_evicted(evicted: u64) {
    tracing::warn!(
        evicted,
        "the idempotency store in memory is full and forgets records before they expire"
    );
}

#[cfg(not(feature = "tracing"))]
fn warn_evicted(_: u64) {}

/// Says which bound a new claim met.
#[derive(Debug)]
pub(super) enum Full {
    Entries(usize),
    Bytes(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(max) => write!(f, "the store in memory may hold {max} keys"),
            Self::Bytes(max) => write!(f, "the store in memory may hold {max} bytes"),
        }
    }
}

impl std::error::Error for Full {}

impl From<Full> for StoreError {
    fn from(full: Full) -> Self {
        Self::new(StoreErrorKind::Full, full)
    }
}
