//! What the tests claim, and what they look at.

use std::{fs, path::Path, time::Duration};

use tower_idempotency::{
    Effects, Fingerprint, RecordName, Store, UnknownOutcome,
    store::{Claim, Claimed, Completion, OwnerToken, StoreError, StoreErrorKind},
};
use uuid::Uuid;

use super::stopwatch::Stopwatch;

/// Makes a claim of a name and an owner that nothing else has.
pub(crate) fn fresh() -> Claim {
    let mut name = [0; RecordName::LEN];
    name[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    name[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    Claim::new(
        RecordName::from_bytes(name),
        OwnerToken::random(),
        Duration::from_secs(10),
        Duration::from_secs(60),
    )
}

/// Makes the same claim of another owner.
pub(crate) fn rival(claim: &Claim) -> Claim {
    Claim::new(
        *claim.name(),
        OwnerToken::random(),
        claim.lease(),
        claim.ttl(),
    )
}

/// Makes the same claim with another lease.
pub(crate) fn leased(claim: &Claim, lease: Duration) -> Claim {
    Claim::new(*claim.name(), *claim.owner(), lease, claim.ttl())
}

pub(crate) fn fingerprint() -> Fingerprint {
    Fingerprint::from_bytes([7; Fingerprint::LEN])
}

pub(crate) async fn acquire(store: &impl Store, claim: &Claim) -> Result<Claimed, StoreError> {
    store
        .claim(claim, &fingerprint(), UnknownOutcome::Retry)
        .await
}

/// Claims, and checks that it is ours under this fence.
#[track_caller]
pub(crate) fn assert_acquired(claimed: Result<Claimed, StoreError>, fence: u64) {
    match claimed {
        Ok(Claimed::Acquired(acquired)) => assert_eq!(acquired.fence, fence),
        other => panic!("expected to acquire fence {fence}, found {other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_record(claimed: Result<Claimed, StoreError>, expected: &[u8]) {
    match claimed {
        Ok(Claimed::Completed(record)) => assert_eq!(record, expected),
        other => panic!("expected a record, found {other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_failed<T: std::fmt::Debug>(
    result: Result<T, StoreError>,
    kind: StoreErrorKind,
) {
    match result {
        Err(error) => assert_eq!(error.kind(), kind, "{error:?}"),
        Ok(done) => panic!("expected {kind:?}, found {done:?}"),
    }
}

pub(crate) async fn complete(
    store: &impl Store,
    claim: &Claim,
    record: &'static [u8],
) -> Result<Completion, StoreError> {
    store.complete(claim, record.into(), Effects::Keep).await
}

/// Calls until it works, and returns how long that took.
pub(crate) async fn until_ok<T, F>(mut call: impl FnMut() -> F) -> Duration
where
    F: Future<Output = Result<T, StoreError>>,
{
    let start = Stopwatch::start();
    while call().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "still failing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

/// The words of a file that documents something, so that it documents what is tested.
pub(crate) fn documented(path: &str, start: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = text.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("{} has no {start:?}", path.display()))
        .to_owned()
}
