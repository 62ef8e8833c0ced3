//! Serves mixed load on every store, with faults, and servers that are drained and replaced, for as
//! long as it is told; then says whether memory, tasks, descriptors or keys have grown, and whether
//! any answer was lost.

mod application;
mod backend;
mod client;
mod flat;
mod generations;
#[path = "../../../it/support/leash.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod leash;
mod ledger;
#[path = "../../../it/support/postgres/server.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod postgres;
#[path = "../../../it/support/redis.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod redis;
mod sample;
mod world;

use std::{process::ExitCode, time::Duration};

use futures_util::future::join_all;
use lexopt::prelude::*;
use tokio::time::{Instant, sleep};

use self::{backend::Backend, flat::growth, sample::Sample, world::World};

/// How long a record is kept: what is left after that is left for good.
pub(crate) const TTL: Duration = Duration::from_secs(15);

/// Before the first look: by then stores remove as much as comes, SQLite once a minute.
const WARM_UP: Duration = Duration::from_secs(100);

/// In minutes. A quarter of it has two of SQLite's sweeps in it: what is compared must not be one
/// half of the time between two sweeps with the other.
const SHORTEST: f64 = 8.0;

/// How often the process is looked at. Often enough that the median of a quarter does not depend on
/// which looks fell behind one of SQLite's sweeps.
const EVERY: Duration = Duration::from_secs(5);

fn main() -> Result<ExitCode, lexopt::Error> {
    let mut minutes = SHORTEST;
    let mut names = Vec::new();
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("minutes") => minutes = args.value()?.parse()?,
            Value(name) => names.push(name.string()?),
            _ => return Err(arg.unexpected()),
        }
    }
    if !(SHORTEST..=10_000.0).contains(&minutes) {
        return Err(format!("--minutes takes a number from {SHORTEST} to 10000").into());
    }
    if names.is_empty() {
        names = backend::NAMES.map(ToOwned::to_owned).to_vec();
    }
    let time = Duration::from_secs_f64(minutes * 60.0);
    silence_what_is_told();
    let backends = names.iter().map(|name| Backend::start(name));
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Ok(match runtime.block_on(soak(names, backends, time)) {
        Ok(said) => {
            println!("soak: {said}");
            ExitCode::SUCCESS
        }
        Err(found) => {
            println!("soak: {found}");
            ExitCode::FAILURE
        }
    })
}

/// Handlers that panic because they are told to are no news.
fn silence_what_is_told() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(application::AS_TOLD) {
            hook(panic);
        }
    }));
}

async fn soak(
    names: Vec<String>,
    backends: Vec<Backend>,
    time: Duration,
) -> Result<String, String> {
    let before = Sample::take(0);
    let mut worlds = Vec::new();
    for (name, backend) in names.into_iter().zip(backends) {
        worlds.push(World::start(name, backend).await?);
    }
    let mut samples = Vec::new();
    sleep(WARM_UP).await;
    let start = Instant::now();
    while start.elapsed() < time {
        sleep(EVERY).await;
        let keys = join_all(worlds.iter().map(World::keys)).await;
        let sample = Sample::take(keys.into_iter().sum());
        eprintln!("{:>6} s: {sample:?}", start.elapsed().as_secs());
        samples.push(sample);
        if let Some(lost) = worlds.iter().find_map(World::lost) {
            return Err(lost);
        }
    }
    let mut totals = ledger::Totals::default();
    for world in worlds {
        totals += world.end().await?;
    }
    // What was aborted goes when its worker comes to it.
    let patience = Instant::now() + Duration::from_secs(10);
    let after = loop {
        let after = Sample::take(0);
        if after.tasks <= before.tasks || Instant::now() > patience {
            break after;
        }
        sleep(Duration::from_millis(50)).await;
    };
    if after.tasks > before.tasks || after.descriptors > before.descriptors + 2 {
        return Err(format!(
            "something is left of it all: {after:?}, not {before:?}"
        ));
    }
    if let Some(growth) = growth(&samples) {
        return Err(growth);
    }
    let (first, last) = (samples[samples.len() / 4], samples[samples.len() - 1]);
    Ok(format!(
        "{:.0} s, {totals}; after a quarter {first}, at the end {last}; nothing lost, nothing left",
        time.as_secs_f64()
    ))
}
