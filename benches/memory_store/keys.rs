//! Claims and records as the layer makes them.

#![allow(dead_code, reason = "each bench uses its part")]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use tower_idempotency::{
    Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Claim, Claimed, Effects, OwnerToken},
};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Short, so that keys which expire do so while they are watched.
const LEASE: Duration = Duration::from_secs(1);
/// The length of the record of a JSON response of 300 bytes.
pub(crate) const RECORD: usize = 423;

pub(crate) fn unbounded_store() -> MemoryStore {
    MemoryStore::builder().max_bytes(usize::MAX).build()
}

/// Returns a claim by an owner of its own.
pub(crate) fn claim(key: u64, ttl: Duration) -> Claim {
    let mut name = [0; RecordName::LEN];
    name[..8].copy_from_slice(&mixed(key).to_le_bytes());
    let owner = OwnerToken::from_bytes((u128::from(mixed(!key)) << 64).to_le_bytes());
    Claim::new(RecordName::from_bytes(name), owner, LEASE, ttl)
}

/// Names are digests: neighbours have nothing in common.
pub(crate) fn mixed(key: u64) -> u64 {
    let key = (key ^ key >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (key ^ key >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

pub(crate) fn try_claim(store: &MemoryStore, claim: &Claim) -> Claimed {
    let fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);
    now(store.claim(claim, &fingerprint, UnknownOutcome::Retry)).expect("the store has room")
}

/// Claims and completes.
pub(crate) fn keep(store: &MemoryStore, key: u64, ttl: Duration) {
    let claim = claim(key, ttl);
    try_claim(store, &claim);
    let record = vec![7; RECORD].into();
    now(store.complete(&claim, record, Effects::Keep)).expect("it is kept");
}

/// Returns a store that holds the keys below `keys`, each completed.
///
/// Each key is looked at once when the lease of its claim has ended, by the claims that follow: that
/// is over too, as it is for all keys but the newest in a server.
pub(crate) fn filled(keys: u64) -> MemoryStore {
    let store = unbounded_store();
    (0..keys).for_each(|key| keep(&store, key, DAY));
    thread::sleep(LEASE + LEASE / 10);
    (0..keys).for_each(|key| drop(try_claim(&store, &claim(key, DAY))));
    store
}

/// Returns what a future answers at its first poll, which is when this store answers.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}
