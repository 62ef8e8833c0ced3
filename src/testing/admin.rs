//! The contract of [`Admin`].

mod desk;
mod finding;
mod forgetting;
mod listing;
mod racing;
mod repairing;

use std::sync::Arc;

use self::desk::Desk;
use super::{Capabilities, Checking, Violations, run, subject::Subject, violation::Checked};
use crate::{Admin, Store};

type Check = fn(Desk) -> Checking;

/// The checks that are asked of every store.
const CHECKS: [Check; 4] = [
    |desk| Box::pin(finding::what_is_not_there_is_not_found(desk)),
    |desk| Box::pin(finding::a_record_is_found(desk)),
    |desk| Box::pin(forgetting::a_record_is_forgotten(desk)),
    |desk| Box::pin(listing::records_are_listed(desk)),
];

/// The checks of what outlives its owner.
const DURABLE: [Check; 15] = [
    |desk| Box::pin(finding::every_claim_is_found(desk)),
    |desk| Box::pin(forgetting::a_live_claim_is_forgotten_by_force_alone(desk)),
    |desk| Box::pin(forgetting::what_is_unknown_is_forgotten(desk)),
    |desk| Box::pin(forgetting::others_are_left_alone(desk)),
    |desk| Box::pin(repairing::what_is_unknown_is_recorded(desk)),
    |desk| Box::pin(repairing::a_late_owner_is_superseded(desk)),
    |desk| Box::pin(repairing::a_repair_may_be_repeated(desk)),
    |desk| Box::pin(repairing::an_owner_that_came_back_is_left_alone(desk)),
    |desk| Box::pin(repairing::a_record_is_left_alone(desk)),
    |desk| Box::pin(repairing::another_run_is_left_alone(desk)),
    |desk| Box::pin(repairing::another_request_is_left_alone(desk)),
    |desk| Box::pin(repairing::what_is_absent_stays_so(desk)),
    |desk| Box::pin(repairing::a_record_made_by_hand_expires(desk)),
    |desk| Box::pin(racing::late_completion_or_repair(desk)),
    |desk| Box::pin(racing::takeover_or_repair(desk)),
];

/// The checks that look at all that is there, and those of who waits: one by one.
const ALONE: [Check; 4] = [
    |desk| Box::pin(racing::one_of_many_repairs(desk)),
    |desk| Box::pin(listing::every_state_is_listed(desk)),
    |desk| Box::pin(repairing::a_repair_wakes_who_waits(desk)),
    |desk| Box::pin(forgetting::forgetting_wakes_who_waits(desk)),
];

/// Tries every rule of [`Admin`]'s contract on a store that keeps that of [`Store`].
///
/// It is called as [`conformance`](super::conformance) is, and takes about as long. What else the
/// store holds is listed too, and left alone.
///
/// # Errors
///
/// [`Violations`] says which rules are broken, what each demands, and what was seen.
///
/// # Panics
///
/// Panics outside a tokio runtime.
pub async fn admin_conformance<S, F>(
    factory: impl Fn() -> F,
    capabilities: Capabilities,
) -> Result<(), Violations>
where
    S: Store + Admin,
    F: Future<Output = S>,
{
    let mut clients: Vec<Arc<dyn Store>> = Vec::new();
    let mut admins: Vec<Arc<dyn Admin>> = Vec::new();
    for _ in 0..3 {
        let client = Arc::new(factory().await);
        clients.push(Arc::clone(&client) as _);
        admins.push(client);
    }
    let subject = Subject::new(clients.into(), capabilities);
    let admins: Arc<[_]> = admins.into();
    let (durable, alone): (&[Check], &[Check]) = if subject.capabilities.durable_claims {
        (&DURABLE, &ALONE)
    } else {
        (&[], &[])
    };
    let on_desk = |check: Check| {
        let admins = Arc::clone(&admins);
        move |subject| check(Desk::new(subject, Arc::clone(&admins)))
    };
    let mut violations = Vec::new();
    let at_once = subject.capabilities.at_once;
    let checks = CHECKS.iter().chain(durable).copied().map(on_desk);
    run(&subject, checks, at_once, &mut violations).await;
    let checks = alone.iter().copied().map(on_desk);
    run(&subject, checks, 1, &mut violations).await;
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Violations(violations))
    }
}
