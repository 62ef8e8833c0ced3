//! What is particular about the memory store.

use std::{collections::HashMap, time::Duration};

use tower_idempotency::{
    Admin, Effects, Fingerprint, MemoryStore, Record, RecordName, Store, UnknownOutcome,
    admin::{Counts, Cursor, Force, List, Repair, State, count},
    store::{Claim, OwnerToken},
};

const LEASE: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(3600);
const FINGERPRINT: Fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);

fn claim(number: u32) -> Claim {
    let mut name = [7; RecordName::LEN];
    name[..4].copy_from_slice(&number.to_le_bytes());
    let name = RecordName::from_bytes(name);
    Claim::new(name, OwnerToken::random(), LEASE, TTL)
}

async fn acquire(store: &MemoryStore, claim: &Claim) {
    let claimed = store.claim(claim, &FINGERPRINT, UnknownOutcome::Retry);
    claimed.await.unwrap();
}

async fn complete(store: &MemoryStore, claim: &Claim) {
    acquire(store, claim).await;
    let kept = store.complete(claim, "record".into(), Effects::Keep);
    kept.await.unwrap();
}

/// Lists everything, page by page, and does something between two pages.
async fn list(
    store: &MemoryStore,
    keys: usize,
    mut between: impl AsyncFnMut(usize),
) -> HashMap<RecordName, usize> {
    let (mut seen, mut pages) = (HashMap::new(), 0);
    let mut list = List::new().at_once(keys);
    loop {
        let page = store.list(&list).await.unwrap();
        assert!(page.entries.len() <= keys);
        for entry in page.entries {
            *seen.entry(entry.name).or_default() += 1;
        }
        pages += 1;
        between(pages).await;
        match page.next {
            Some(next) => list = List::new().at_once(keys).after(next),
            None => return seen,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_tells_of_all_that_is_there_and_once_while_nothing_moves() {
    let store = MemoryStore::new();
    for number in 0..500 {
        complete(&store, &claim(number)).await;
        acquire(&store, &claim(number + 500)).await;
    }
    for keys in [1, 7, 1000] {
        let seen = list(&store, keys, async |_| ()).await;
        assert_eq!(seen.len(), 1000, "{keys}");
        assert!(seen.values().all(|times| *times == 1), "{keys}");
    }
    // Records had no whole name in them, and claims do.
    let whole = list(&store, 100, async |_| ()).await;
    let whole = whole.keys().filter(|name| name.as_bytes()[16..] == [7; 16]);
    assert_eq!(whole.count(), 500);
}

#[tokio::test(start_paused = true)]
async fn the_whole_name_of_a_record_is_read_from_the_record() {
    let store = MemoryStore::new();
    let claim = claim(1);
    acquire(&store, &claim).await;
    let head = http::Response::new(()).into_parts().0;
    let record = Record::whole(FINGERPRINT, &head, "paid".into(), None);
    let record = record.encode(claim.name());
    store.complete(&claim, record, Effects::Keep).await.unwrap();
    let seen = list(&store, 1, async |_| ()).await;
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), [*claim.name()]);
}

#[tokio::test(start_paused = true)]
async fn what_moves_during_a_listing_is_listed() {
    let store = MemoryStore::new();
    let claims: Vec<_> = (0..2000).map(claim).collect();
    for claim in &claims {
        acquire(&store, claim).await;
    }
    let seen = list(&store, 50, async |page| {
        // Some are completed, renewed or lapse; claims of other names move what is due.
        let number = u32::try_from(page).unwrap();
        let kept = store.complete(&claims[page * 7 % 2000], "record".into(), Effects::Keep);
        kept.await.unwrap();
        store.renew(&claims[page * 11 % 2000]).await.unwrap();
        tokio::time::advance(LEASE / 20).await;
        for more in 0..50 {
            acquire(&store, &claim(1_000_000 + number * 50 + more)).await;
        }
    })
    .await;
    let beginnings: Vec<_> = seen
        .keys()
        .map(|name| name.as_bytes()[..16].to_vec())
        .collect();
    for claim in &claims {
        let name = &claim.name().as_bytes()[..16];
        assert!(
            beginnings.iter().any(|seen| seen == name),
            "{:?}",
            claim.name()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_over_during_a_listing_is_listed() {
    let store = MemoryStore::new();
    let claims: Vec<_> = (0..6400).map(claim).collect();
    for claim in &claims {
        acquire(&store, claim).await;
    }
    // All lapse, and are queued for the end of their ttl.
    tokio::time::advance(LEASE * 2).await;
    for more in 0..3200 {
        acquire(&store, &claim(10_000 + more)).await;
    }
    let seen = list(&store, 30, async |page| {
        // Wherever the listing is, some of those that come next are due sooner from now on.
        for claim in claims.iter().skip(page).step_by(200).take(32) {
            let owner = OwnerToken::random();
            acquire(&store, &Claim::new(*claim.name(), owner, LEASE, TTL)).await;
        }
    })
    .await;
    assert_eq!(seen.len(), 9600);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_used_again_after_its_record_was_forgotten_is_listed_once() {
    let store = MemoryStore::new();
    complete(&store, &claim(1)).await;
    // Its place moves to where records stand.
    tokio::time::advance(LEASE * 2).await;
    for number in 0..100 {
        acquire(&store, &claim(1000 + number)).await;
    }
    store.forget(claim(1).name(), Force::No).await.unwrap();
    acquire(&store, &claim(1)).await;
    let seen = list(&store, 7, async |_| ()).await;
    assert_eq!(seen.len(), 101);
    assert_eq!(seen[&entry_name(&store, 1).await], 1);
}

/// The name that a listing shows, which has the beginning alone.
async fn entry_name(store: &MemoryStore, number: u32) -> RecordName {
    let entry = store.find(claim(number).name()).await.unwrap();
    entry.unwrap().name
}

#[tokio::test(start_paused = true)]
async fn records_that_may_go_early_are_counted_once() {
    let store = MemoryStore::builder().keep_at_least(LEASE / 2).build();
    for number in 0..100 {
        complete(&store, &claim(number)).await;
    }
    for _ in 0..5 {
        assert_eq!(count(&store).await.unwrap().completed, 100);
        tokio::time::advance(LEASE / 3).await;
        acquire(&store, &claim(1000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_mended_by_hand_is_accounted_for_and_expires() {
    let store = MemoryStore::new();
    for number in 0..10 {
        let claim = claim(number);
        acquire(&store, &claim).await;
        store.abandon(&claim).await.unwrap();
        let entry = store.find(claim.name()).await.unwrap().unwrap();
        let answer = http::Response::new(bytes::Bytes::from("paid"));
        let repair = Repair::new(&entry, answer).unwrap().ttl(LEASE * 2);
        store.repair(&repair).await.unwrap();
    }
    let record = store.record(claim(3).name()).await.unwrap().unwrap();
    assert_eq!(
        (store.len(), store.bytes()),
        (10, 10 * (144 + record.len()))
    );
    store.forget(claim(3).name(), Force::No).await.unwrap();
    assert_eq!((store.len(), store.bytes()), (9, 9 * (144 + record.len())));
    tokio::time::advance(LEASE * 3).await;
    assert_eq!(count(&store).await.unwrap(), Counts::default());
    for number in 0..100 {
        acquire(&store, &claim(1000 + number)).await;
    }
    assert_eq!(store.len(), 100, "what had expired was swept");
}

#[tokio::test(start_paused = true)]
async fn what_operators_are_shown_says_what_it_is() {
    let error = "12".parse::<Cursor>().unwrap_err();
    assert!(error.to_string().contains("64 hexadecimal digits"));
    let error = "lost".parse::<State>().unwrap_err();
    assert!(error.to_string().contains("abandoned or completed"));
    let cursor = Cursor::from_bytes([0xab; 32]);
    assert_eq!(format!("{cursor:?}"), "ab".repeat(32));
    let store = MemoryStore::new();
    acquire(&store, &claim(1)).await;
    store.abandon(&claim(1)).await.unwrap();
    tokio::time::advance(LEASE).await;
    let entry = store.find(claim(1).name()).await.unwrap().unwrap();
    let answer = http::Response::new(bytes::Bytes::from("canary"));
    let repair = format!("{:?}", Repair::new(&entry, answer).unwrap());
    assert!(
        repair.starts_with("Repair") && !repair.contains("canary"),
        "{repair}"
    );
}

#[tokio::test(start_paused = true)]
async fn any_cursor_is_answered() {
    let store = MemoryStore::new();
    complete(&store, &claim(1)).await;
    for byte in 0..=u8::MAX {
        for place in [0, 1, 2, 17] {
            let mut bytes = [0; 32];
            bytes[place] = byte;
            let after = tower_idempotency::admin::Cursor::from_bytes(bytes);
            let written: tower_idempotency::admin::Cursor = after.to_string().parse().unwrap();
            assert_eq!(written, after);
            let list = List::new().state(State::Completed).after(after);
            assert!(store.list(&list).await.unwrap().entries.len() <= 1);
        }
    }
}
