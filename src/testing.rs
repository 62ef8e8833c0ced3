//! Tells whether a store keeps its contract (feature `testing`).
//!
//! ```
//! use tower_idempotency::{MemoryStore, testing::{Capabilities, conformance}};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(
//! async {
//!     let store = MemoryStore::new();
//!     conformance(|| async { store.clone() }, Capabilities::durable()).await
//! }
//! # )?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
mod capabilities;
mod dropped;
mod lease;
mod operation;
mod race;
mod record;
mod state;
mod subject;
mod table;
mod violation;
mod wake;

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

pub use self::{
    admin::admin_conformance,
    capabilities::Capabilities,
    violation::{Violation, Violations},
};
use self::{
    subject::Subject,
    table::Row,
    violation::{Checked, Failed},
};
use crate::Store;

type Checking = Pin<Box<dyn Future<Output = Checked> + Send>>;
type Check = fn(Subject) -> Checking;

/// The checks that are asked of every store.
const CHECKS: [Check; 6] = [
    |subject| Box::pin(lease::a_record_expires(subject)),
    |subject| Box::pin(lease::every_duration_is_legal(subject)),
    |subject| Box::pin(race::one_of_many_acquires(subject)),
    |subject| Box::pin(dropped::all_may_be_repeated(subject)),
    |subject| Box::pin(record::records_come_back_as_they_were(subject)),
    |subject| Box::pin(record::names_are_independent(subject)),
];

/// The checks of what outlives its owner.
const DURABLE: [Check; 11] = [
    |subject| Box::pin(lease::claims_lapse(subject)),
    |subject| Box::pin(lease::a_lapsed_claim_is_taken_over(subject)),
    |subject| Box::pin(lease::renewal_moves_the_deadline(subject)),
    |subject| Box::pin(lease::renewal_moves_the_expiry(subject)),
    |subject| Box::pin(lease::a_lapsed_claim_expires(subject)),
    |subject| Box::pin(lease::an_abandoned_claim_expires(subject)),
    |subject| Box::pin(lease::a_late_record_gets_its_whole_ttl(subject)),
    |subject| Box::pin(race::one_of_many_takes_over(subject)),
    |subject| Box::pin(race::late_completion_or_takeover(subject)),
    |subject| Box::pin(record::claims_are_never_answered_from_a_cache(subject)),
    |subject| Box::pin(record::undone_effects_leave_the_record(subject)),
];

/// The checks of what does not.
const TRANSACTIONAL: [Check; 3] = [
    |subject| Box::pin(dropped::a_dropped_transaction_is_undone(subject)),
    |subject| Box::pin(record::claims_are_never_answered_from_a_cache(subject)),
    |subject| Box::pin(record::undone_effects_leave_the_record(subject)),
];

/// The checks that are tried one by one.
const ALONE: [Check; 4] = [
    |subject| Box::pin(wake::every_end_wakes(subject)),
    |subject| Box::pin(wake::all_are_woken(subject)),
    |subject| Box::pin(wake::waiters_outlast_owners(subject)),
    |subject| Box::pin(wake::no_wake_up_is_lost(subject)),
];

const OTHER_CLIENTS: Check = |subject| Box::pin(wake::every_end_wakes_other_clients(subject));

/// The check that a store must be in order for.
const THREADS: Check = |subject| Box::pin(race::one_of_many_threads_acquires(subject));

/// How often a check is tried whose answers came too late, each time with longer leases.
const TRIES: u32 = 5;

/// Tries every rule of the contract on a store.
///
/// The factory is called three times, and each time returns another client of one and the same
/// store: a clone, or a connection of its own. Names are random, so the store may hold other
/// things. Works with tokio's time paused, if the store keeps to it, and takes some seconds
/// otherwise.
///
/// # Errors
///
/// [`Violations`] says which rules are broken, what each demands, and what was seen.
///
/// # Panics
///
/// Panics outside a tokio runtime.
pub async fn conformance<S, F>(
    factory: impl Fn() -> F,
    capabilities: Capabilities,
) -> Result<(), Violations>
where
    S: Store,
    F: Future<Output = S>,
{
    let mut clients: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..3 {
        clients.push(Arc::new(factory().await));
    }
    let subject = Subject::new(clients.into(), capabilities);
    let Capabilities {
        durable_claims,
        wakes_other_clients,
        at_once,
        ..
    } = subject.capabilities;

    // The table first: where it is broken, the rest tells less.
    let mut violations = Vec::new();
    let rows = Row::all(durable_claims)
        .map(|row| move |subject| -> Checking { Box::pin(row.check(subject)) });
    run(&subject, rows, at_once, &mut violations).await;
    let more: &[Check] = if durable_claims {
        &DURABLE
    } else {
        &TRANSACTIONAL
    };
    let checks = CHECKS.iter().chain(more).copied();
    run(&subject, checks, at_once, &mut violations).await;
    let checks = ALONE
        .into_iter()
        .chain(wakes_other_clients.then_some(OTHER_CLIENTS));
    run(&subject, checks, 1, &mut violations).await;
    if violations.is_empty() {
        run(&subject, [THREADS].into_iter(), 1, &mut violations).await;
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Violations(violations))
    }
}

async fn run<C>(
    subject: &Subject,
    checks: impl Iterator<Item = C>,
    at_once: usize,
    violations: &mut Vec<Violation>,
) where
    C: Fn(Subject) -> Checking + Send + Sync + 'static,
{
    let permits = Arc::new(Semaphore::new(at_once.max(1)));
    let mut running = JoinSet::new();
    for check in checks {
        let (subject, permits) = (subject.clone(), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire().await;
            attempt(subject, check).await
        });
    }
    while let Some(outcome) = running.join_next().await {
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(violation)) => violations.push(violation),
            Err(panic) => violations.push(Violation::new("no operation panics", "none", panic)),
        }
    }
}

/// Tries a check, with longer leases if its answers came too late.
async fn attempt<C>(subject: Subject, check: C) -> Result<(), Violation>
where
    C: Fn(Subject) -> Checking,
{
    for doubled in 0..TRIES {
        let mut subject = subject.another();
        subject.unit *= 1 << doubled;
        match dropped::within_deadline(check(subject)).await {
            Ok(()) => return Ok(()),
            Err(Failed::Broken(violation)) => return Err(violation),
            Err(Failed::TooLate) => {}
        }
    }
    Err(Violation::new(
        "answers come in time",
        "within a few seconds",
        "later",
    ))
}
