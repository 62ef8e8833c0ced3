//! Three servers, some clients and a store on a simulated network, on which everything goes wrong
//! that a seed says.
//!
//! The crate's own source is built unchanged against a `rand` with a seed and a tokio whose `select!`
//! draws nothing (`subject`), so that a seed repeats every step.

mod faults;
mod ledger;
mod outcome;
mod server;
mod store;
mod wire;

use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep, timeout};
use turmoil::Builder;

use self::{faults::Faults, ledger::Ledger};
pub use self::{outcome::Outcome, store::Fault};

const SERVERS: [&str; 3] = ["server-0", "server-1", "server-2"];
const CLIENTS: usize = 4;

/// How many keys are new every two seconds.
const NEW_KEYS: usize = 2;

/// How many keys there are in all: each is asked for by many, for some seconds.
const KEYS: usize = NEW_KEYS * 16;

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(30);

/// How long the whole takes at most.
const WHOLE: Duration = Duration::from_secs(150);

/// Plays one seed.
pub fn play(seed: u64) -> Outcome {
    play_with(seed, Fault::Nothing)
}

/// Plays one seed with a store that is wrong on purpose.
pub fn play_with(seed: u64, fault: Fault) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let ledger = Ledger::default();
    ledger.book().refuses = rng.bool();
    let mut sim = Builder::new()
        .rng_seed(rng.u64(..))
        .tick_duration(Duration::from_millis(5))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(rng.u64(5..80)))
        .simulation_duration(WHOLE)
        .enable_random_order()
        .tcp_capacity(1 << 16)
        .build();
    let (store_seed, pace) = (rng.u64(..), 0.9 + 0.2 * rng.f64());
    let book = ledger.clone();
    sim.host("store", move || {
        store::serve(book.clone(), store_seed, pace)
    });
    for server in SERVERS {
        let (ledger, seed) = (ledger.clone(), rng.u64(..));
        sim.host(server, move || server::serve(ledger.clone(), seed, fault));
    }
    for client in 0..CLIENTS {
        sim.client(
            format!("client-{client}"),
            ask(client, ledger.clone(), Rng::with_seed(rng.u64(..))),
        );
    }
    let mut faults = Faults::new(rng, ledger.clone());
    let ended = loop {
        if sim.elapsed() < TROUBLE {
            faults.step(&mut sim);
        } else {
            faults.mend(&mut sim);
        }
        match sim.step() {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    let mut book = ledger.book();
    if let Err(error) = ended {
        book.violations
            .push(format!("the simulation failed: {error}"));
    }
    Outcome {
        trace: book.trace(),
        events: book.events,
        runs: book.runs.len(),
        replays: book.replays,
        faults: faults.made(),
        violations: book.violations.clone(),
    }
}

/// A client: it asks again and again, hangs up when it likes, and in the end insists on an answer.
async fn ask(client: usize, ledger: Ledger, mut rng: Rng) -> turmoil::Result {
    let start = Instant::now();
    while start.elapsed() < TROUBLE {
        let server = SERVERS[rng.usize(..SERVERS.len())];
        let age = usize::try_from(start.elapsed().as_secs()).expect("a short time");
        let key = age / 2 * NEW_KEYS + rng.usize(..NEW_KEYS * 2);
        let patience = Duration::from_millis(rng.u64(20..4000));
        if let Ok(Ok(told)) = timeout(patience, server::send(server, key)).await {
            let mut book = ledger.book();
            book.answers(key, told.status, told.replayed, &told.body);
        }
        sleep(Duration::from_millis(rng.u64(..800))).await;
    }
    // Whatever still runs has ended then, and every lease has passed.
    sleep(Duration::from_secs(20)).await;
    for key in (client..KEYS).step_by(CLIENTS) {
        let mut last = None;
        for _ in 0..20 {
            let server = SERVERS[rng.usize(..SERVERS.len())];
            let told = timeout(Duration::from_secs(10), server::send(server, key)).await;
            if let Ok(Ok(told)) = told {
                ledger
                    .book()
                    .answers(key, told.status, told.replayed, &told.body);
                let is_resolved = told.replayed || told.body.contains("outcome-unknown");
                last = Some(told);
                if is_resolved {
                    break;
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
        let refuses = ledger.book().refuses;
        let is_resolved = last
            .as_ref()
            .is_some_and(|told| told.replayed || refuses && told.body.contains("outcome-unknown"));
        if !is_resolved {
            let violation = format!("key {key} is never resolved, at last {last:?}");
            ledger.book().violate(violation);
        }
    }
    Ok(())
}
