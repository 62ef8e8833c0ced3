//! Kills a server, its store or both while a request stands at a point between its arrival and the end
//! of its reply, and holds what follows against what the crate promises.

mod backend;
mod cut;
mod cutting;
mod effects;
#[path = "../../../it/support/leash.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod leash;
mod point;
#[path = "../../../it/support/postgres/server.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod postgres;
#[path = "../../../it/support/redis.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod redis;
mod serve;
mod server;
mod trial;
mod verdict;

use std::{process::ExitCode, thread};

use lexopt::prelude::*;

use self::{
    backend::Backend,
    point::Point,
    serve::Arguments,
    trial::{Policy, Trial, Victim},
};

fn main() -> Result<ExitCode, lexopt::Error> {
    let mut args = lexopt::Parser::from_env();
    let mut names = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Value(first) if first == "serve" => {
                let mut text = || args.value()?.string();
                let arguments = Arguments {
                    store: text()?,
                    ledger: text()?,
                    policy: text()?,
                    lease: text()?.parse().map_err(|_| "a lease in milliseconds")?,
                    cut: text().ok().and_then(|point| Point::named(&point)),
                };
                serve(arguments);
                return Ok(ExitCode::SUCCESS);
            }
            Value(name) => names.push(name.string()?),
            _ => return Err(arg.unexpected()),
        }
    }
    if names.is_empty() {
        names = Backend::NAMES.map(ToOwned::to_owned).to_vec();
    }
    // Each waits for leases most of its time.
    let backends: Vec<_> = names
        .into_iter()
        .map(|name| thread::spawn(move || play_all(&name)))
        .collect();
    let (mut trials, mut found) = (0, 0);
    for backend in backends {
        let (played, failed) = backend.join().map_err(|_| "a trial panicked")??;
        trials += played;
        found += failed;
    }
    if !finds_what_is_wrong()? {
        println!("cuts: nothing is found of a Redis that keeps nothing");
        found += 1;
    }
    println!("cuts: {trials} kills, each followed by two retries, {found} broken promises");
    Ok(ExitCode::from(u8::from(found > 0)))
}

#[tokio::main(worker_threads = 2)]
async fn serve(arguments: Arguments) {
    serve::serve(arguments).await;
}

/// Whether a store that forgets what it acknowledged is noticed.
fn finds_what_is_wrong() -> Result<bool, String> {
    let mut backend = Backend::start("forgetful").ok_or("no such store")?;
    let trial = Trial {
        point: Point::BeforeReply,
        victim: Victim::Store,
        policy: Policy::Retry,
    };
    Ok(trial.play(&mut backend)?.broken().is_some())
}

/// Returns how many trials there were, and in how many a promise was broken.
fn play_all(name: &str) -> Result<(usize, usize), String> {
    let mut backend = Backend::start(name).ok_or_else(|| format!("there is no store {name}"))?;
    let trials = Trial::all(&backend);
    let mut found = 0;
    for trial in &trials {
        let broken = match trial.play(&mut backend) {
            Ok(seen) => seen.broken().map(|promise| format!("{promise}: {seen:#?}")),
            Err(error) => Some(error),
        };
        if let Some(broken) = broken {
            found += 1;
            println!("cuts: {name}: {trial:?}: {broken}");
        }
    }
    Ok((trials.len(), found))
}
