use std::time::Duration;

use bytes::Bytes;
use tokio::time::advance;
use tower_idempotency::{
    Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreErrorKind},
};

const LEASE: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

fn name(number: u64) -> RecordName {
    let mut bytes = [0; RecordName::LEN];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    RecordName::from_bytes(bytes)
}

fn claim(number: u64) -> Claim {
    Claim::new(name(number), OwnerToken::random(), LEASE, TTL)
}

fn print() -> Fingerprint {
    Fingerprint::from_bytes([1; Fingerprint::LEN])
}

async fn acquire(store: &MemoryStore, claim: &Claim) -> bool {
    matches!(
        store.claim(claim, &print(), UnknownOutcome::Retry).await,
        Ok(Claimed::Acquired(_))
    )
}

async fn refusal(store: &MemoryStore, claim: &Claim) -> Option<StoreErrorKind> {
    store
        .claim(claim, &print(), UnknownOutcome::Retry)
        .await
        .err()
        .map(|error| error.kind())
}

async fn complete(store: &MemoryStore, claim: &Claim, record: &'static [u8]) -> Completion {
    store
        .complete(claim, Bytes::from_static(record), Effects::Keep)
        .await
        .unwrap()
}

async fn record(store: &MemoryStore, number: u64) -> Option<Bytes> {
    match store
        .claim(&claim(number), &print(), UnknownOutcome::Refuse)
        .await
        .unwrap()
    {
        Claimed::Completed(record) => Some(record),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_kept_for_its_ttl_and_its_memory_given_back() {
    let store = MemoryStore::new();
    for number in 0..10_000 {
        let claim = claim(number);
        assert!(acquire(&store, &claim).await);
        assert_eq!(complete(&store, &claim, b"record").await, Completion::Kept);
        assert_eq!(store.renew(&claim).await.unwrap(), Renewal::Lost);
    }
    assert_eq!(store.len(), 10_000);
    assert_eq!(store.bytes(), 10_000 * (144 + 6));
    advance(TTL.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(record(&store, 7).await.as_deref(), Some(&b"record"[..]));
    advance(TTL).await;
    assert_eq!(record(&store, 7).await, None);
    for number in 0..6_000 {
        let claim = claim(1_000_000 + number);
        assert!(acquire(&store, &claim).await);
        store.release(&claim).await.unwrap();
    }
    assert!(store.len() < 100, "{store:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_new_keys_are_refused_and_the_rest_goes_on() {
    let store = MemoryStore::builder().max_entries(3).build();
    let claims = [claim(0), claim(1), claim(2)];
    for claim in &claims {
        assert!(acquire(&store, claim).await);
    }
    assert_eq!(refusal(&store, &claim(3)).await, Some(StoreErrorKind::Full));
    assert_eq!(complete(&store, &claims[0], b"0").await, Completion::Kept);
    assert_eq!(record(&store, 0).await.as_deref(), Some(&b"0"[..]));
    store.release(&claims[1]).await.unwrap();
    assert!(acquire(&store, &claim(3)).await);
}
