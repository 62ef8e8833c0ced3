use std::time::Duration;

use bytes::Bytes;
use tokio::{
    task::JoinSet,
    time::{Instant, advance, timeout},
};
use tower_idempotency::{
    Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreErrorKind},
};

const LEASE: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// What [`MemoryStore::bytes`] counts for a key, and more for one without a record.
const KEY: usize = 144;
const CLAIM: usize = 128;

fn name(number: u64) -> RecordName {
    let mut bytes = [0; RecordName::LEN];
    let mixed = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&(mixed ^ mixed >> 29).to_le_bytes());
    RecordName::from_bytes(bytes)
}

fn claim(number: u64) -> Claim {
    lasting(number, TTL)
}

fn lasting(number: u64, ttl: Duration) -> Claim {
    Claim::new(name(number), OwnerToken::random(), LEASE, ttl)
}

async fn try_claim(store: &MemoryStore, claim: &Claim) -> Result<Claimed, StoreErrorKind> {
    let fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);
    let claimed = store
        .claim(claim, &fingerprint, UnknownOutcome::Retry)
        .await;
    claimed.map_err(|error| error.kind())
}

async fn acquire(store: &MemoryStore, claim: &Claim) {
    let claimed = try_claim(store, claim).await;
    assert!(matches!(claimed, Ok(Claimed::Acquired(_))), "{claimed:?}");
}

async fn is_full(store: &MemoryStore, claim: &Claim) -> bool {
    matches!(try_claim(store, claim).await, Err(StoreErrorKind::Full))
}

async fn complete(store: &MemoryStore, claim: &Claim, record: &'static [u8]) -> Completion {
    store
        .complete(claim, Bytes::from_static(record), Effects::Keep)
        .await
        .unwrap()
}

async fn keep(store: &MemoryStore, claim: &Claim, record: &'static [u8]) {
    acquire(store, claim).await;
    assert_eq!(complete(store, claim, record).await, Completion::Kept);
}

async fn record(store: &MemoryStore, number: u64) -> Option<Bytes> {
    match try_claim(store, &claim(number)).await {
        Ok(Claimed::Completed(record)) => Some(record),
        _ => None,
    }
}

/// Claims and releases other keys, which is when expired ones are removed.
async fn pass_by(store: &MemoryStore, times: u64) {
    for number in 0..times {
        let claim = claim(1 << 40 | number);
        acquire(store, &claim).await;
        store.release(&claim).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_counted_to_the_byte() {
    let store = MemoryStore::new();
    let (first, second) = (claim(1), claim(2));
    acquire(&store, &first).await;
    assert_eq!((store.len(), store.bytes()), (1, KEY + CLAIM));
    complete(&store, &first, b"four").await;
    complete(&store, &first, b"a resend changes nothing").await;
    assert_eq!((store.len(), store.bytes()), (1, KEY + 4));
    // A claim that was lost meanwhile.
    complete(&store, &second, b"second").await;
    assert_eq!((store.len(), store.bytes()), (2, 2 * KEY + 10));
    let third = claim(3);
    acquire(&store, &third).await;
    store.abandon(&third).await.unwrap();
    assert_eq!((store.len(), store.bytes()), (3, 3 * KEY + 10 + CLAIM));
    let next = claim(3);
    acquire(&store, &next).await;
    store.release(&next).await.unwrap();
    assert_eq!((store.len(), store.bytes()), (3, 3 * KEY + 10 + CLAIM));
    advance(2 * TTL).await;
    pass_by(&store, 1_000).await;
    assert_eq!((store.len(), store.bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_kept_to_the_millisecond_and_its_memory_given_back() {
    let store = MemoryStore::new();
    for number in 0..10_000 {
        keep(&store, &claim(number), b"record").await;
    }
    let millisecond = Duration::from_millis(1);
    advance(TTL.saturating_sub(millisecond)).await;
    assert_eq!(record(&store, 7).await.as_deref(), Some(&b"record"[..]));
    advance(millisecond).await;
    assert_eq!(record(&store, 7).await, None);
    pass_by(&store, 10_000).await;
    // Queued keys are looked at a hundredth of their ttl late, for they wait in buckets.
    advance(TTL / 60).await;
    pass_by(&store, 10_000).await;
    assert_eq!(store.len(), 1, "the one that was claimed again");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_renewed_for_long_is_not_swept() {
    let store = MemoryStore::new();
    let long = lasting(1, Duration::from_secs(1));
    acquire(&store, &long).await;
    for _ in 0..1_000 {
        advance(Duration::from_secs(9)).await;
        assert_eq!(store.renew(&long).await.unwrap(), Renewal::Renewed);
        pass_by(&store, 100).await;
    }
    assert_eq!(complete(&store, &long, b"").await, Completion::Kept);
    advance(Duration::from_secs(20)).await;
    pass_by(&store, 1_000).await;
    assert!(store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_new_keys_are_refused_and_the_rest_goes_on() {
    let store = MemoryStore::builder().max_entries(3).build();
    let claims = [claim(0), claim(1), claim(2)];
    for claim in &claims {
        acquire(&store, claim).await;
    }
    assert!(is_full(&store, &claim(3)).await);
    assert_eq!(store.renew(&claims[0]).await.unwrap(), Renewal::Renewed);
    assert_eq!(complete(&store, &claims[0], b"0").await, Completion::Kept);
    assert_eq!(record(&store, 0).await.as_deref(), Some(&b"0"[..]));
    // Lost, as far as the store knows, and completed all the same.
    assert_eq!(complete(&store, &claim(4), b"4").await, Completion::Kept);
    assert_eq!((store.len(), store.evicted()), (4, 0));
    store.release(&claims[1]).await.unwrap();
    assert!(is_full(&store, &claim(3)).await);
    store.abandon(&claims[2]).await.unwrap();
    let again = claim(2);
    acquire(&store, &again).await;
    store.release(&again).await.unwrap();
    assert!(is_full(&store, &claim(3)).await, "what was abandoned stays");
    advance(2 * TTL).await;
    acquire(&store, &claim(3)).await;
}

#[tokio::test(start_paused = true)]
async fn completions_overshoot_the_bytes_by_what_is_in_flight() {
    static RECORD: [u8; 10_000] = [0; 10_000];
    let store = MemoryStore::builder().max_bytes(10 * (KEY + CLAIM)).build();
    let claims: Vec<_> = (0..10).map(claim).collect();
    for claim in &claims {
        acquire(&store, claim).await;
    }
    assert!(is_full(&store, &claim(10)).await);
    for claim in &claims {
        assert_eq!(complete(&store, claim, &RECORD).await, Completion::Kept);
    }
    assert_eq!(store.bytes(), 10 * (KEY + RECORD.len()));
    assert!(is_full(&store, &claim(10)).await);
    assert_eq!(
        record(&store, 9).await.map(|record| record.len()),
        Some(RECORD.len())
    );
}

#[tokio::test(start_paused = true)]
async fn expired_records_make_room_at_the_bound() {
    let store = MemoryStore::builder().max_entries(1_000).build();
    for number in 0..1_000 {
        keep(&store, &claim(number), b"").await;
    }
    assert!(is_full(&store, &claim(1_000)).await);
    advance(TTL + TTL / 60).await;
    for number in 1_000..2_000 {
        keep(&store, &claim(number), b"").await;
    }
    assert_eq!((store.len(), store.evicted()), (1_000, 0));
}

#[tokio::test(start_paused = true)]
async fn records_that_were_kept_long_enough_make_room() {
    let hour = Duration::from_secs(3600);
    let store = MemoryStore::builder()
        .max_entries(1_000)
        .keep_at_least(hour)
        .build();
    for number in 0..998 {
        keep(&store, &claim(number), b"").await;
    }
    let (in_flight, abandoned) = (claim(5_000), claim(5_001));
    acquire(&store, &in_flight).await;
    acquire(&store, &abandoned).await;
    store.abandon(&abandoned).await.unwrap();
    advance(hour.saturating_sub(Duration::from_millis(1))).await;
    assert!(
        is_full(&store, &claim(998)).await,
        "none is older than an hour"
    );
    advance(hour / 50).await;
    for number in 1_000..1_900 {
        keep(&store, &claim(number), b"").await;
        assert_eq!(store.len(), 1_000);
    }
    assert_eq!(store.evicted(), 900);
    for number in 1_000..1_900 {
        assert!(
            record(&store, number).await.is_some(),
            "{number} is younger"
        );
    }
    assert_eq!(
        complete(&store, &in_flight, b"").await,
        Completion::Kept,
        "never evicted"
    );
    assert!(
        matches!(try_claim(&store, &claim(5_001)).await, Ok(Claimed::Acquired(acquired)) if acquired.fence == 2)
    );
}

#[tokio::test(start_paused = true)]
async fn records_may_go_at_once_and_then_the_bound_never_refuses() {
    let store = MemoryStore::builder()
        .max_entries(100)
        .keep_at_least(Duration::ZERO)
        .build();
    for number in 0..10_000 {
        keep(&store, &claim(number), b"").await;
    }
    assert_eq!((store.len(), store.evicted()), (100, 9_900));
}

#[tokio::test(start_paused = true)]
async fn one_call_forgets_no_more_than_64_records() {
    static RECORD: [u8; 100_000] = [0; 100_000];
    let store = MemoryStore::builder()
        .max_bytes(1_000 * KEY)
        .keep_at_least(Duration::from_secs(1))
        .build();
    for number in 0..900 {
        keep(&store, &claim(number), b"").await;
    }
    advance(Duration::from_secs(2)).await;
    let large = claim(1_000);
    acquire(&store, &large).await;
    assert_eq!(store.evicted(), 0);
    complete(&store, &large, &RECORD).await;
    assert_eq!(store.evicted(), 64);
    for evicted in [128, 192] {
        assert!(is_full(&store, &claim(1_001)).await);
        assert_eq!(store.evicted(), evicted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_to_the_millisecond() {
    let store = MemoryStore::new();
    acquire(&store, &claim(1)).await;
    let millisecond = Duration::from_millis(1);
    advance(LEASE.saturating_sub(millisecond)).await;
    assert!(matches!(
        try_claim(&store, &claim(1)).await,
        Ok(Claimed::Held { .. })
    ));
    advance(millisecond).await;
    acquire(&store, &claim(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_ttl_beside_a_long_one_does_not_keep_the_old_from_going() {
    let minute = Duration::from_secs(60);
    let store = MemoryStore::builder()
        .max_entries(200)
        .keep_at_least(minute)
        .build();
    for number in 0..100 {
        keep(&store, &claim(number), b"").await;
    }
    advance(2 * minute).await;
    for number in 100..200 {
        keep(&store, &lasting(number, 2 * minute), b"").await;
    }
    for number in 200..300 {
        keep(&store, &claim(number), b"").await;
    }
    assert_eq!(store.evicted(), 100);
    assert!(record(&store, 150).await.is_some());
    assert!(is_full(&store, &claim(300)).await);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_used_again_is_not_taken_for_what_it_was() {
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let store = MemoryStore::builder()
        .max_entries(2)
        .keep_at_least(minute)
        .build();
    keep(&store, &lasting(1, 10 * second), b"").await;
    // Its place in the queue comes up a little later than it expires.
    advance(10 * second).await;
    keep(&store, &claim(1), b"").await;
    keep(&store, &claim(2), b"").await;
    advance(second).await;
    assert!(is_full(&store, &claim(3)).await, "both are a second old");
    assert_eq!(store.evicted(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_the_place_of_its_owners_record_is_not_evicted() {
    let second = Duration::from_secs(1);
    let store = MemoryStore::builder()
        .max_entries(1)
        .keep_at_least(Duration::ZERO)
        .build();
    let owner = lasting(1, 10 * second);
    keep(&store, &owner, b"").await;
    advance(second).await;
    // Lets the record be looked at, which queues it among those that may go.
    assert_eq!(record(&store, 1).await.as_deref(), Some(&b""[..]));
    // It is gone once it expired, but its place in the queue comes up a little later.
    advance(9 * second).await;
    acquire(&store, &owner).await;
    assert!(is_full(&store, &claim(2)).await);
    assert_eq!(store.evicted(), 0);
    assert_eq!(store.renew(&owner).await.unwrap(), Renewal::Renewed);
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn a_store_that_is_nearly_full_says_so_again_only_once_it_was_emptier() {
    use crate::support::log::Log;

    static RECORD: [u8; 8_000] = [0; 8_000];
    let (log, _guards) = Log::capture();
    let warnings = || log.text().matches("80 % full").count();
    // By its keys, which are claimed or recorded late, and by its bytes, which a record adds to.
    let few = MemoryStore::builder().max_entries(10).build();
    for number in 0..7 {
        acquire(&few, &claim(number)).await;
    }
    assert_eq!(warnings(), 0, "at 70 %");
    complete(&few, &claim(7), b"").await;
    assert_eq!(warnings(), 1, "at 80 %");
    let others = [claim(8), claim(9)];
    for _ in 0..3 {
        for claim in &others {
            acquire(&few, claim).await;
        }
        for claim in &others {
            few.release(claim).await.unwrap();
        }
    }
    assert_eq!(warnings(), 1, "it stayed above 70 %");
    advance(2 * TTL).await;
    pass_by(&few, 1_000).await;
    for number in 0..7 {
        acquire(&few, &claim(20 + number)).await;
    }
    assert_eq!(warnings(), 1);
    acquire(&few, &claim(28)).await;
    assert_eq!(warnings(), 2, "it was below 70 % before");

    let small = MemoryStore::builder().max_bytes(10_000).build();
    let large = claim(0);
    acquire(&small, &large).await;
    complete(&small, &large, &RECORD[..8_000 - KEY - 1]).await;
    assert_eq!((small.bytes(), warnings()), (7_999, 2));
    acquire(&small, &claim(1)).await;
    assert_eq!(warnings(), 3);
    complete(&small, &claim(2), b"").await;
    assert_eq!(warnings(), 3, "once");
    let fresh = MemoryStore::builder().max_bytes(10_000).build();
    complete(&fresh, &claim(0), &RECORD[..8_000 - KEY]).await;
    assert_eq!((fresh.bytes(), warnings()), (8_000, 4));
    let fresh = MemoryStore::builder().max_bytes(10_000).build();
    keep(&fresh, &claim(0), &RECORD[..8_000 - KEY]).await;
    assert_eq!((fresh.bytes(), warnings()), (8_000, 5));
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn emptier_is_below_70_percent_and_not_at_it() {
    use crate::support::log::Log;

    let (log, _guards) = Log::capture();
    let mut expected = 0;
    let keys = MemoryStore::builder().max_entries(10).build();
    let bytes = MemoryStore::builder().max_bytes(10 * (KEY + CLAIM)).build();
    for store in [keys, bytes] {
        let claims: Vec<_> = (0..8).map(claim).collect();
        for claim in &claims {
            acquire(&store, claim).await;
        }
        // To seven and back, and to six and back.
        for (released, more) in [(1, 1), (2, 0), (0, 1)] {
            expected += more;
            let told = log.text().matches("80 % full").count();
            assert_eq!(told, expected, "{store:?}");
            for claim in &claims[..released] {
                store.release(claim).await.unwrap();
            }
            for claim in &claims[..released] {
                acquire(&store, claim).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_full_to_the_byte_forgets_nothing() {
    static RECORD: [u8; 712] = [0; 712];
    let store = MemoryStore::builder()
        .max_bytes(2 * KEY + RECORD.len())
        .keep_at_least(Duration::ZERO)
        .build();
    keep(&store, &claim(0), b"").await;
    advance(Duration::from_secs(1)).await;
    keep(&store, &claim(1), &RECORD).await;
    assert_eq!((store.bytes(), store.evicted()), (1_000, 0));
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn records_that_go_early_are_told_of_once_a_minute() {
    use crate::support::log::Log;

    let (log, _guards) = Log::capture();
    let told = || {
        let text = log.text();
        let counts = text.split("evicted=").skip(1);
        let counts = counts.map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap());
        counts.collect::<Vec<u64>>()
    };
    let store = MemoryStore::builder()
        .max_entries(1)
        .keep_at_least(Duration::ZERO)
        .build();
    let mut number = 0;
    let mut evict = async |times: u64| {
        for _ in 0..times {
            advance(Duration::from_millis(1)).await;
            keep(&store, &claim(number), b"").await;
            number += 1;
        }
    };
    evict(1).await;
    assert!(told().is_empty(), "there was room");
    evict(10).await;
    assert_eq!(told(), [1]);
    advance(Duration::from_secs(58)).await;
    evict(1).await;
    assert_eq!(told(), [1]);
    advance(Duration::from_secs(2)).await;
    evict(2).await;
    assert_eq!(told(), [1, 12]);
    assert_eq!(store.evicted(), 13);
}

#[tokio::test(start_paused = true)]
async fn what_a_full_store_may_hold_is_in_its_error() {
    let fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);
    let keys = MemoryStore::builder().max_entries(1).build();
    let bytes = MemoryStore::builder().max_bytes(KEY + CLAIM).build();
    for (store, bound) in [(keys, "1 keys"), (bytes, "272 bytes")] {
        acquire(&store, &claim(0)).await;
        assert!(!store.is_empty());
        let second = claim(1);
        let refused = store.claim(&second, &fingerprint, UnknownOutcome::Retry);
        let error = refused.await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(bound), "{cause}");
        // What was counted in for it was counted out again.
        assert_eq!((store.len(), store.bytes()), (1, KEY + CLAIM));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_waiters_that_went() {
    let store = MemoryStore::new();
    let waiters: Vec<_> = (0..100)
        .map(|number| store.changed(&name(number % 10)))
        .collect();
    assert!(format!("{store:?}").contains("waited_for: 10"), "{store:?}");
    drop(waiters);
    assert!(format!("{store:?}").contains("waited_for: 0"), "{store:?}");
}

#[tokio::test(start_paused = true)]
async fn a_million_records_stay_within_the_bound() {
    let bound = 100_000 * (KEY + CLAIM);
    let day = MemoryStore::builder()
        .max_bytes(bound)
        .keep_at_least(Duration::ZERO)
        .build();
    for number in 0..1_000_000 {
        keep(&day, &claim(number), b"a record of some bytes").await;
        assert!(day.bytes() <= bound);
    }
    // Where nothing may go early, short ttls keep it small.
    let second = MemoryStore::new();
    for number in 0..50_000 {
        keep(&second, &lasting(number, Duration::from_secs(1)), b"").await;
        advance(Duration::from_millis(1)).await;
    }
    assert!(
        second.len() < 15_000,
        "a lease and a ttl, and a little more: {second:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_released_leave_nothing_behind() {
    let store = MemoryStore::new();
    for number in 0..1_000 {
        let claim = claim(number % 10);
        acquire(&store, &claim).await;
        store.release(&claim).await.unwrap();
    }
    assert!(store.is_empty());
    assert_eq!(queued(&store), 1_000);
    for number in 0..10 {
        keep(&store, &claim(number), b"").await;
    }
    for _ in 0..3 {
        advance(2 * LEASE).await;
        pass_by(&store, 600).await;
    }
    assert_eq!(
        store.len(),
        10,
        "what was queued before is not taken for them"
    );
    assert!(queued(&store) < 1_000, "{store:?}");
}

#[tokio::test(start_paused = true)]
async fn nor_do_those_of_long_leases() {
    let store = MemoryStore::new();
    for number in 0..1_000 {
        let claim = claim(number);
        let claim = Claim::new(*claim.name(), *claim.owner(), Claim::MAX_LEASE, claim.ttl());
        acquire(&store, &claim).await;
        store.release(&claim).await.unwrap();
    }
    advance(Duration::from_secs(62)).await;
    pass_by(&store, 600).await;
    assert!(queued(&store) < 1_000, "{store:?}");
}

/// How many keys are queued to be looked at, whether or not they are there.
fn queued(store: &MemoryStore) -> usize {
    let shown = format!("{store:?}");
    let queued = shown.split("queued: ").nth(1);
    let queued = queued.and_then(|rest| rest.split(',').next());
    queued.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_waiters_on_one_name_are_all_woken() {
    let store = MemoryStore::new();
    let owner = claim(1);
    acquire(&store, &owner).await;
    let mut waiters = JoinSet::new();
    for number in 0..10_000 {
        let changed = store.changed(&name(1));
        if number % 3 == 0 {
            drop(store.changed(&name(1)));
        }
        waiters.spawn(timeout(Duration::from_secs(30), changed));
    }
    let other = store.changed(&name(2));
    complete(&store, &owner, b"").await;
    while let Some(woken) = waiters.join_next().await {
        woken.unwrap().expect("woken");
    }
    timeout(Duration::from_millis(50), other)
        .await
        .expect_err("another name wakes nobody");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_claims_may_be_in_flight() {
    let store = MemoryStore::new();
    let claims: Vec<_> = (0..100_000).map(claim).collect();
    for claim in &claims {
        acquire(&store, claim).await;
    }
    assert_eq!(
        (store.len(), store.bytes()),
        (100_000, 100_000 * (KEY + CLAIM))
    );
    for claim in &claims {
        assert!(matches!(
            try_claim(&store, &self::claim(0)).await,
            Ok(Claimed::Held { .. })
        ));
        assert_eq!(store.renew(claim).await.unwrap(), Renewal::Renewed);
    }
    for claim in &claims[1..] {
        store.release(claim).await.unwrap();
    }
    assert_eq!(store.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_threads_keep_the_count() {
    let store = MemoryStore::builder()
        .max_entries(500)
        .keep_at_least(Duration::ZERO)
        .build();
    let mut threads = JoinSet::new();
    for thread in 0..8 {
        let store = store.clone();
        threads.spawn(async move {
            let until = Instant::now() + Duration::from_secs(1);
            let mut number = 0;
            while Instant::now() < until {
                number += 1;
                let claim = lasting(number % 3_000 * thread, Duration::from_millis(number % 50));
                if let Ok(Claimed::Acquired(_)) = try_claim(&store, &claim).await {
                    match number % 5 {
                        0 => store.release(&claim).await.unwrap(),
                        1 => store.abandon(&claim).await.unwrap(),
                        _ => assert_eq!(complete(&store, &claim, b"12").await, Completion::Kept),
                    }
                }
                tokio::task::consume_budget().await;
            }
        });
    }
    while let Some(thread) = threads.join_next().await {
        thread.unwrap();
    }
    assert!(
        store.len() <= 510 && store.bytes() <= 510 * (KEY + CLAIM),
        "{store:?}"
    );
    assert!(store.bytes() >= store.len() * KEY, "{store:?}");
}
