#[cfg(feature = "testing")]
mod conformance;

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{
    Effects, Fingerprint, IdempotencyLayer, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{
        Claim, Claimed, Completion, Encrypted, KeyRing, OwnerToken, StoreError, StoreErrorKind,
    },
};

use crate::support::wire::{keyed, response};

const SECRET: &[u8] = b"the secret of a response";
/// What encryption adds to a record.
const ADDED: usize = 1 + 4 + 24 + 16;

fn ring() -> KeyRing {
    KeyRing::new(1, &[1; 32])
}

fn claim(name: u8) -> Claim {
    let name = RecordName::from_bytes([name; RecordName::LEN]);
    let minute = Duration::from_secs(60);
    Claim::new(name, OwnerToken::random(), minute, minute)
}

async fn keep(store: &impl Store, name: u8, record: impl Into<Bytes>) {
    let claim = claim(name);
    let kept = store.complete(&claim, record.into(), Effects::Keep).await;
    assert_eq!(kept.unwrap(), Completion::Kept);
}

async fn read(store: &impl Store, name: u8) -> Result<Bytes, StoreError> {
    let fingerprint = Fingerprint::from_bytes([0; Fingerprint::LEN]);
    let claim = claim(name);
    let found = store.claim(&claim, &fingerprint, UnknownOutcome::Retry);
    match found.await? {
        Claimed::Completed(record) => Ok(record),
        other => panic!("{other:?} is no record"),
    }
}

/// Has a stored record refused, and returns why.
async fn refused(store: &impl Store, name: u8) -> String {
    let error = read(store, name).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    error.source().unwrap().to_string()
}

/// A memory store that holds one encrypted record, and that.
async fn sealed() -> (MemoryStore, Bytes) {
    let memory = MemoryStore::new();
    keep(&Encrypted::new(memory.clone(), ring()), 0, SECRET).await;
    let sealed = read(&memory, 0).await.unwrap();
    (memory, sealed)
}

#[tokio::test]
async fn a_record_is_given_back_as_it_came_and_the_store_sees_nothing_of_it() {
    let (memory, sealed) = sealed().await;
    assert_eq!(sealed.len(), SECRET.len() + ADDED);
    for part in SECRET.windows(4) {
        assert!(!sealed.windows(4).any(|seen| seen == part));
    }
    let store = Encrypted::new(memory, ring());
    assert_eq!(read(&store, 0).await.unwrap(), SECRET);
    for record in [Bytes::new(), vec![7; 1024 * 1024].into()] {
        let name = u8::from(record.is_empty()) + 1;
        keep(&store, name, record.clone()).await;
        assert_eq!(read(&store, name).await.unwrap(), record);
    }
}

#[tokio::test]
async fn no_two_records_are_encrypted_alike() {
    let ((_, one), (_, other)) = (sealed().await, sealed().await);
    assert_ne!(one, other);
    assert_ne!(one[5..29], other[5..29], "a nonce is never used twice");
}

#[tokio::test]
async fn every_changed_bit_and_every_cut_is_refused() {
    let (memory, sealed) = sealed().await;
    let store = Encrypted::new(memory.clone(), ring());
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let memory = MemoryStore::new();
        keep(&memory, 0, changed).await;
        let why = refused(&Encrypted::new(memory, ring()), 0).await;
        let expected = match bit / 8 {
            0 => "in version",
            1..5 => "not in the key ring",
            _ => "was changed",
        };
        assert!(why.contains(expected), "bit {bit}: {why}");
    }
    for len in 0..sealed.len() {
        let memory = MemoryStore::new();
        keep(&memory, 0, sealed.slice(..len)).await;
        let why = refused(&Encrypted::new(memory, ring()), 0).await;
        let expected = if len < ADDED {
            "too short"
        } else {
            "was changed"
        };
        assert!(why.contains(expected), "{len} bytes: {why}");
    }
    assert_eq!(
        read(&store, 0).await.unwrap(),
        SECRET,
        "the record itself is fine"
    );
}

#[tokio::test]
async fn a_record_that_was_moved_to_another_name_is_refused() {
    let (memory, sealed) = sealed().await;
    keep(&memory, 1, sealed).await;
    let why = refused(&Encrypted::new(memory, ring()), 1).await;
    assert!(why.contains("belongs to another name"), "{why}");
}

#[tokio::test]
async fn a_record_of_a_store_without_encryption_is_refused() {
    let memory = MemoryStore::new();
    keep(&memory, 0, vec![9; 100]).await;
    let why = refused(&Encrypted::new(memory, ring()), 0).await;
    assert!(why.contains("was not encrypted, or in version 9"), "{why}");
}

#[tokio::test]
async fn keys_rotate_without_refusing_anyone() {
    let (first, second) = ([1; 32], [2; 32]);
    let rings = [
        KeyRing::new(1, &first),
        KeyRing::new(1, &first).and(2, &second),
        KeyRing::new(2, &second).and(1, &first),
        KeyRing::new(2, &second),
    ];
    let memory = MemoryStore::new();
    let stores = rings.map(|ring| Encrypted::new(memory.clone(), ring));
    // While servers are changed one by one, those before and after a change read each other.
    for (name, pair) in (0..).zip(stores.windows(2)) {
        let [before, after] = pair else {
            unreachable!()
        };
        keep(before, 2 * name, SECRET).await;
        keep(after, 2 * name + 1, SECRET).await;
        for name in [2 * name, 2 * name + 1] {
            for store in pair {
                assert_eq!(read(store, name).await.unwrap(), SECRET);
            }
        }
    }
    let why = refused(&stores[3], 0).await;
    assert!(why.contains("the key 1, which is not in"), "{why}");
    let wrong = Encrypted::new(memory, KeyRing::new(1, &[3; 32]));
    let why = refused(&wrong, 0).await;
    assert!(why.contains("another key of the id 1"), "{why}");
}

#[test]
#[should_panic(expected = "the key ring has two keys with the id 7")]
fn two_keys_of_one_id_are_a_mistake() {
    let _ = KeyRing::new(7, &[0; 32]).and(7, &[1; 32]);
}

#[test]
fn nothing_of_a_key_is_shown() {
    let ring = KeyRing::new(1, &[77; 32]).and(2, &[78; 32]);
    assert_eq!(format!("{ring:?}"), "{1, 2}");
    let store = format!("{:?}", Encrypted::new(MemoryStore::new(), ring));
    assert!(!store.contains("77"), "{store}");
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn what_cannot_be_decrypted_is_503_never_a_run_and_the_log_says_why() {
    use crate::support::log::Log;

    let (log, _guard) = Log::capture();
    let memory = MemoryStore::new();
    let app = |ring| {
        let store = Encrypted::new(memory.clone(), ring);
        IdempotencyLayer::new(store).layer(service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(response(201, "paid"))
        }))
    };
    let first = app(ring()).oneshot(keyed("key")).await.unwrap();
    assert_eq!(first.status(), 201);
    let other = app(KeyRing::new(2, &[2; 32]));
    let refused = other.oneshot(keyed("key")).await.unwrap();
    assert_eq!(refused.status(), 503);
    let text = log.text();
    assert!(
        text.contains("encrypted with the key 1, which is not in"),
        "{text}"
    );
    let replay = app(ring()).oneshot(keyed("key")).await.unwrap();
    assert_eq!(replay.headers()["idempotency-replayed"], "true");
}
