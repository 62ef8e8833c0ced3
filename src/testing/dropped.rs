//! Operations whose callers go away.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use super::{
    subject::{Answer, Owner, Subject},
    violation::{Checked, Violation, expect},
};
use crate::{
    runtime::sleep,
    store::{Completion, Renewal},
};

/// How often each operation is dropped, each time a little later.
const TIMES: u32 = 10;

pub(super) async fn all_may_be_repeated(subject: Subject) -> Checked {
    for time in 0..TIMES {
        a_dropped_claim(subject.another(), time).await?;
        a_dropped_end(subject.another(), time).await?;
        a_dropped_completion(subject.another(), time).await?;
    }
    Ok(())
}

async fn a_dropped_claim(subject: Subject, time: u32) -> Checked {
    let rule = "a claim whose future was dropped was made or not, and may be repeated";
    let owner = Owner::random();
    drop_after(time, subject.claim(0, &owner)).await;
    let held = subject.claim(0, &owner).await;
    expect(rule, &Answer::acquired(1), &held)?;
    expect(rule, Answer::held(), subject.look(1).await)?;
    drop_after(time, subject.renew(0, &owner)).await;
    expect(
        rule,
        Answer::Renewal(Renewal::Renewed),
        subject.renew(0, &owner).await,
    )?;
    let kept = Answer::Completion(Completion::Kept);
    expect(rule, kept, subject.complete(0, &owner).await)
}

async fn a_dropped_completion(subject: Subject, time: u32) -> Checked {
    let rule = "a completion whose future was dropped was done or not, and may be repeated";
    let owner = Owner::random();
    let held = subject.claim(0, &owner).await;
    expect(rule, &Answer::acquired(1), &held)?;
    drop_after(time, subject.complete(0, &owner)).await;
    if !subject.capabilities.durable_claims {
        // What was dropped may have been half-way to its commit: nobody can resume that.
        return decided(rule, &subject, &owner.record, held).await;
    }
    let seen = subject.look(1).await;
    let completed = Answer::Completed(owner.record.clone());
    if seen != Answer::held() {
        expect(rule, &completed, &seen)?;
    }
    let kept = Answer::Completion(Completion::Kept);
    expect(rule, kept, subject.complete(0, &owner).await)?;
    expect(rule, completed, subject.look(1).await)
}

/// A transaction ends committed or rolled back, once nobody holds it.
async fn decided(rule: &str, subject: &Subject, record: &[u8], held: Answer) -> Checked {
    drop(held);
    let seen = subject.look_until_not_held().await;
    match seen {
        Answer::Completed(seen) if seen == record => Ok(()),
        seen => expect(rule, Answer::acquired(1), seen),
    }
}

async fn a_dropped_end(subject: Subject, time: u32) -> Checked {
    let rule = "a release or abandon whose future was dropped was done or not, and may be repeated";
    let owner = Owner::random();
    let held = subject.claim(0, &owner).await;
    expect(rule, &Answer::acquired(1), &held)?;
    drop_after(time, subject.release(0, &owner)).await;
    expect(rule, Answer::Done, subject.release(0, &owner).await)?;
    let next = Owner::random();
    let held = subject.claim(1, &next).await;
    expect(rule, &Answer::acquired(1), &held)?;
    drop_after(time, subject.abandon(1, &next)).await;
    expect(rule, Answer::Done, subject.abandon(1, &next).await)?;
    let expected = if subject.capabilities.durable_claims {
        Answer::Unknown(next.fingerprint)
    } else {
        Answer::acquired(1)
    };
    expect(rule, expected, subject.look(0).await)
}

pub(super) async fn a_dropped_transaction_is_undone(subject: Subject) -> Checked {
    let rule = "an acquired claim that is dropped without completion is undone";
    let owner = Owner::random();
    let held = subject.claim(0, &owner).await;
    expect(rule, &Answer::acquired(1), &held)?;
    drop(held);
    expect(
        rule,
        Answer::acquired(1),
        subject.look_until_not_held().await,
    )
}

/// Drops a future after its first poll, or some time later if it is still there.
async fn drop_after<F: Future>(time: u32, future: F) {
    let mut future = pin!(future);
    let is_ready = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
    if time > 0 && !is_ready {
        let _ = tokio::time::timeout(Duration::from_micros(250) * time, future).await;
    }
}

impl Subject {
    /// Looks until the name is no longer held: a connection takes its time to roll back.
    async fn look_until_not_held(&self) -> Answer {
        for _ in 0..20 {
            let seen = self.look(1).await;
            if seen != Answer::held() {
                return seen;
            }
            sleep(self.unit / 4).await;
        }
        Answer::held()
    }
}

/// Ends a check that takes so long that the store must have hung.
pub(super) async fn within_deadline(check: impl Future<Output = Checked>) -> Checked {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, check)
        .await
        .unwrap_or_else(|_| {
            let rule = "every operation ends within a deadline";
            Err(Violation::new(rule, "an answer", format!("none in {limit:?}")).into())
        })
}
