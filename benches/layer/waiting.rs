//! How long requests that wait for another one's answer go on waiting once it is there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinSet};

use crate::common::{
    rounds::{Times, single_threaded},
    router,
    variant::{Key, Variant, layer},
};

const ROUNDS: usize = 40;

pub(crate) fn print() {
    println!(
        "{:<24} {:>16} {:>16}",
        "wait for another", "its answer, us", "all, us each"
    );
    for waiters in [1, 8, 64] {
        let runtime = single_threaded();
        let rounds = (0..ROUNDS).map(|_| runtime.block_on(round(waiters)));
        let (owner, each): (Vec<_>, Vec<_>) = rounds.unzip();
        let (owner, each) = (Times::new(owner), Times::new(each));
        println!(
            "{:<24} {:>16.1} {:>16.1}",
            format!("{waiters} waiting"),
            owner.median() * 1e6,
            each.median() * 1e6,
        );
    }
}

/// Returns the seconds from the end of the handler to the owner's answer, and those to the last
/// waiter's, shared among all.
async fn round(waiters: u32) -> (f64, f64) {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let holding = router::holding(Arc::clone(&begun), Arc::clone(&may_end));
    let waiting = layer().wait(Duration::from_secs(60));
    let variant = Variant::charge("wait", holding.layer(waiting), Key::Same);

    let mut answers = JoinSet::new();
    let send = |variant: Variant| async move {
        variant.send(variant.request()).await;
        Instant::now()
    };
    answers.spawn(send(variant.clone()));
    begun.notified().await;
    for _ in 0..waiters {
        answers.spawn(send(variant.clone()));
    }
    // Longer than the pause that a waiting request makes before it asks again.
    tokio::time::sleep(Duration::from_millis(15)).await;
    may_end.notify_one();
    let start = Instant::now();
    let mut ends: Vec<_> = answers.join_all().await;
    ends.sort_unstable();
    let [first, .., last] = ends[..] else {
        unreachable!("an owner and a waiter at least")
    };
    let each = (last - start).as_secs_f64() / f64::from(waiters + 1);
    ((first - start).as_secs_f64(), each)
}
