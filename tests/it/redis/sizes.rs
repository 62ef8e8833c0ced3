//! What a key costs the server.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tower_idempotency::{Effects, Store};

use super::claims::{acquire, assert_acquired, fresh};
use crate::support::{redis::RedisServer, redis_store::patient};

const KEYS: u64 = 20_000;

/// Returns how many bytes of the server's memory each key takes.
async fn each(record: Option<usize>) -> u64 {
    let server = RedisServer::start();
    let store = &patient().connect(&server.url()).await.unwrap();
    let make = |_| async move {
        let claim = fresh();
        assert_acquired(acquire(store, &claim).await, 1);
        if let Some(length) = record {
            let record = Bytes::from(vec![b'x'; length]);
            store.complete(&claim, record, Effects::Keep).await.unwrap();
        }
    };
    make(0).await;
    let before = server.info("used_memory");
    let all = stream::iter(0..KEYS).map(make).buffer_unordered(100);
    all.collect::<()>().await;
    (server.info("used_memory") - before) / KEYS
}

#[tokio::test]
async fn a_claim_in_flight_costs_the_server_at_most_350_bytes() {
    let each = each(None).await;
    assert!(each <= 350, "{each} bytes");
}

/// What Redis itself takes for a key with a ttl: two entries of hash tables with their slots, the
/// key, and an object.
const ENTRY: u64 = 160;

#[tokio::test]
async fn a_record_costs_the_server_18_bytes_beside_an_entry_and_what_the_allocator_rounds_up() {
    for length in [300_u64, 423, 1024, 4219] {
        // The allocator knows four sizes between a power of two and the next.
        let value = length + 18 + 6;
        let rounded = value.next_multiple_of(value.next_power_of_two() / 8);
        let each = each(usize::try_from(length).ok()).await;
        println!("{length}: {each}");
        assert!(each <= rounded + ENTRY, "{length}: {each} bytes");
    }
}
