use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use tower_idempotency::{
    RedisStore,
    store::{Claim, Claimed},
};

use super::claims::{acquire, assert_acquired, assert_record, complete, fresh, rival};
use crate::support::{redis::RedisServer, redis_store::patient};

const RECORDS: usize = 64;
const CALLERS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_goes_astray_when_operations_are_cancelled_in_flight() {
    cancel(20_000).await;
}

#[ignore = "long: tests/run.sh long"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_goes_astray_when_400_000_operations_are_cancelled_in_flight() {
    cancel(400_000).await;
}

/// Gives operations up at every moment of their life, on one connection on which others check every
/// answer.
async fn cancel(total: usize) {
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    let mut records: Vec<(Claim, Vec<u8>)> = Vec::new();
    for number in 0..RECORDS {
        let claim = fresh();
        assert_acquired(acquire(&store, &claim).await, 1);
        let record = format!("record {number} ").repeat(1 + number);
        let leaked: &'static [u8] = Box::leak(record.into_bytes().into_boxed_slice());
        complete(&store, &claim, leaked).await.unwrap();
        records.push((claim, leaked.to_vec()));
    }
    let (records, cancelled) = (Arc::new(records), Arc::new(AtomicUsize::new(0)));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (store, records) = (store.clone(), Arc::clone(&records));
        let cancelled = Arc::clone(&cancelled);
        callers.spawn(async move {
            let mut turn = caller;
            while cancelled.load(Ordering::Relaxed) < total {
                turn += 7;
                let (claim, record) = &records[turn % RECORDS];
                if give_up(&store, &rival(claim), turn % 5).await {
                    cancelled.fetch_add(1, Ordering::Relaxed);
                }
                if turn % 3 == 0 {
                    assert_record(acquire(&store, &rival(claim)).await, record);
                }
                if turn % 11 == 0 {
                    let own = fresh();
                    assert_acquired(acquire(&store, &own).await, 1);
                    let seen = acquire(&store, &rival(&own)).await;
                    assert!(matches!(seen, Ok(Claimed::Held { .. })), "{seen:?}");
                }
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    assert!(cancelled.load(Ordering::Relaxed) >= total);
}

/// Polls a claim so often and then drops it; returns whether it was still under way.
async fn give_up(store: &RedisStore, claim: &Claim, polls: usize) -> bool {
    let mut claiming = pin!(acquire(store, claim));
    for _ in 0..=polls {
        if poll_fn(|cx| Poll::Ready(claiming.as_mut().poll(cx).is_ready())).await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}
