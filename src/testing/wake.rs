//! Who waits is woken.
//!
//! A store may wake for nothing, and so for what another check did: each of these is tried while
//! nothing else happens.

use std::time::Duration;

use tokio::{task::JoinSet, time::timeout};

use super::{
    operation::Operation,
    subject::{Answer, Owner, Subject},
    violation::{Checked, Violation, expect},
};
use crate::store::{Changed, Completion};

/// The longest that a wake-up may take: stores that miss a message look again from time to time.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn every_end_wakes(subject: Subject) -> Checked {
    for end in [Operation::Complete, Operation::Release, Operation::Abandon] {
        an_end_wakes(subject.another(), end, 0).await?;
    }
    Ok(())
}

pub(super) async fn every_end_wakes_other_clients(subject: Subject) -> Checked {
    for end in [Operation::Complete, Operation::Release, Operation::Abandon] {
        an_end_wakes(subject.another(), end, 1).await?;
    }
    Ok(())
}

async fn an_end_wakes(subject: Subject, end: Operation, client: usize) -> Checked {
    let whom = if client == 0 {
        "who waits"
    } else {
        "who waits at another client"
    };
    let rule = format!("{end} wakes {whom}, counted from the call of changed");
    let owner = Owner::random();
    let held = subject.claim(0, &owner).await;
    expect(&rule, &Answer::acquired(1), &held)?;
    // Not polled before the change: the call alone registers.
    let changed = subject.changed(client);
    end_with(&rule, &subject, end, &owner).await?;
    woken(&rule, changed).await
}

async fn end_with(rule: &str, subject: &Subject, end: Operation, owner: &Owner) -> Checked {
    let (expected, answer) = match end {
        Operation::Complete => (
            Answer::Completion(Completion::Kept),
            subject.complete(0, owner).await,
        ),
        Operation::Release => (Answer::Done, subject.release(0, owner).await),
        _ => (Answer::Done, subject.abandon(0, owner).await),
    };
    expect(rule, expected, answer)
}

pub(super) async fn woken(rule: &str, changed: Changed) -> Checked {
    let late = |_| Violation::new(rule, "woken", format!("asleep after {LIMIT:?}")).into();
    timeout(LIMIT, changed).await.map_err(late)
}

pub(super) async fn all_are_woken(subject: Subject) -> Checked {
    let rule = "every one of a hundred that wait is woken";
    let owner = Owner::random();
    let held = subject.claim(0, &owner).await;
    expect(rule, &Answer::acquired(1), &held)?;
    let mut waiters = JoinSet::new();
    for number in 0..100 {
        let changed = subject.changed(0);
        if number % 10 == 0 {
            // One that goes away takes nobody with it.
            drop(subject.changed(0));
        }
        waiters.spawn(async move { timeout(LIMIT, changed).await.is_ok() });
    }
    tokio::task::yield_now().await;
    end_with(rule, &subject, Operation::Complete, &owner).await?;
    let woken = waiters
        .join_all()
        .await
        .into_iter()
        .filter(|woken| *woken)
        .count();
    expect(rule, "100 woken".to_owned(), format!("{woken} woken"))
}

/// A waiter that comes in the time of one owner is woken by the next one's end as well.
pub(super) async fn waiters_outlast_owners(subject: Subject) -> Checked {
    let rule = "who registers again after each change is woken by the next owner too";
    for round in 0..10 {
        let owner = Owner::random();
        let held = subject.claim(0, &owner).await;
        expect(rule, &Answer::acquired(1), &held)?;
        let (early, other) = (subject.changed(0), subject.changed(0));
        end_with(rule, &subject, Operation::Release, &owner).await?;
        woken(rule, early).await?;
        let next = Owner::random();
        let held = subject.claim(0, &next).await;
        expect(rule, &Answer::acquired(1), &held)?;
        // The one before is still there: woken, but not looked at.
        let late = subject.changed(0);
        drop(other);
        let end = if round == 9 {
            Operation::Complete
        } else {
            Operation::Release
        };
        end_with(rule, &subject, end, &next).await?;
        woken(rule, late).await?;
    }
    Ok(())
}

/// A waiter that claims after it registered misses nothing, whenever the owner ends.
pub(super) async fn no_wake_up_is_lost(subject: Subject) -> Checked {
    for _ in 0..50 {
        a_wake_up_is_not_lost(subject.another()).await?;
    }
    Ok(())
}

async fn a_wake_up_is_not_lost(subject: Subject) -> Checked {
    let rule = "who registers, finds the name held, and waits, is woken";
    let owner = Owner::random();
    let held = subject.claim(0, &owner).await;
    expect(rule, &Answer::acquired(1), &held)?;
    let (waiting, record) = (subject.clone(), owner.record.clone());
    let waiter = tokio::spawn(async move {
        loop {
            let changed = waiting.changed(0);
            match waiting.look(0).await {
                Answer::Held { .. } => woken(rule, changed).await?,
                seen => return expect(rule, Answer::Completed(record), seen),
            }
        }
    });
    tokio::task::yield_now().await;
    end_with(rule, &subject, Operation::Complete, &owner).await?;
    waiter
        .await
        .map_err(|panic| Violation::new(rule, "no panic", panic))?
}
