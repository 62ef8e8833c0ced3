//! Each operation, with so many keys held, on so many threads. Keys are visited in random order,
//! so that at a million keys most visits miss the processor's caches, as they do in a server.

use std::{hint::black_box, sync::Barrier, thread, time::Instant};

use bytes::Bytes;
use tower_idempotency::{
    MemoryStore, Store,
    store::{Claim, Effects},
};

use crate::keys::{DAY, RECORD, claim, filled, mixed, now, try_claim};

const CALLS: u64 = 240_000;
const OPERATIONS: [&str; 6] = ["claim", "held", "renew", "complete", "replay", "release"];

pub(crate) fn print(is_full: bool) {
    println!("nanoseconds a call, all threads together");
    print!("{:>9} {:>8}", "keys", "threads");
    for name in OPERATIONS {
        print!(" {name:>9}");
    }
    println!();
    for keys in [1000, 1_000_000, 5_000_000] {
        if keys > 1_000_000 && !is_full {
            continue;
        }
        let store = filled(keys);
        let mut fresh = keys;
        for threads in [1, 2, 8] {
            let nanos = measure(&store, keys, fresh, threads);
            // What the claims of one row left behind is not in the next one's way.
            fresh += 2 * CALLS;
            print!("{keys:>9} {threads:>8}");
            for nanos in nanos {
                print!(" {nanos:>9.0}");
            }
            println!();
        }
    }
}

/// Times each operation on keys from `fresh` on, and replays those below `keys`.
fn measure(store: &MemoryStore, keys: u64, fresh: u64, threads: u64) -> [f64; 6] {
    let records: Vec<_> = (0..CALLS).map(|_| Bytes::from(vec![7; RECORD])).collect();
    let record = |call| records[usize::try_from(call).expect("few")].clone();
    let own = |call| claim(fresh + call, DAY);
    // Released in the end: they are others than those that are completed.
    let brief = |call| claim(fresh + CALLS + call, DAY);

    let claimed = per_call(threads, |call| {
        black_box(try_claim(store, &own(call)));
    });
    let held = per_call(threads, |call| {
        let (own, another) = (own(call), claim(!call, DAY));
        let other = Claim::new(*own.name(), *another.owner(), own.lease(), own.ttl());
        black_box(try_claim(store, &other));
    });
    let renewed = per_call(threads, |call| {
        black_box(now(store.renew(&own(call))).expect("an answer"));
    });
    let completed = per_call(threads, |call| {
        let claim = own(call);
        let completed = store.complete(&claim, record(call), Effects::Keep);
        black_box(now(completed).expect("an answer"));
    });
    let replayed = per_call(threads, |call| {
        black_box(try_claim(store, &claim(mixed(call) % keys, DAY)));
    });
    (0..CALLS).for_each(|call| drop(try_claim(store, &brief(call))));
    let released = per_call(threads, |call| {
        let claim = brief(call);
        now(store.release(&claim)).expect("an answer");
    });
    [claimed, held, renewed, completed, replayed, released]
}

/// Returns the nanoseconds that one call takes, where threads share the calls.
fn per_call(threads: u64, call: impl Fn(u64) + Sync) -> f64 {
    let each = CALLS / threads;
    let begin = Barrier::new(usize::try_from(threads).expect("few"));
    let spans = thread::scope(|scope| {
        let run = |thread: u64| {
            let (begin, call) = (&begin, &call);
            scope.spawn(move || {
                begin.wait();
                let start = Instant::now();
                (thread * each..(thread + 1) * each).for_each(call);
                (start, Instant::now())
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        ended.collect::<Vec<_>>()
    });
    let start = spans.iter().map(|span| span.0).min().expect("a thread");
    let end = spans.iter().map(|span| span.1).max().expect("a thread");
    #[allow(clippy::cast_precision_loss, reason = "few")]
    let calls = (each * threads) as f64;
    (end - start).as_secs_f64() * 1e9 / calls
}
