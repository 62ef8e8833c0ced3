//! Many at once on one name.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::{
    subject::{Answer, Owner, Subject},
    violation::{Checked, Violation, expect},
};
use crate::{UnknownOutcome, store::Completion};

const CLAIMS: usize = 200;
const THREADS: usize = 8;

pub(super) async fn one_of_many_acquires(subject: Subject) -> Checked {
    let answers = race(&subject, |_| Owner::random()).await;
    one_acquired(
        "of 200 claims at once, one is acquired and the others are held",
        1,
        &answers,
    )
}

pub(super) async fn one_of_many_takes_over(subject: Subject) -> Checked {
    let rule = "of 200 that would take over at once, one does";
    let former = Owner::random();
    let _held = subject.claim(0, &former).await;
    expect(rule, Answer::Done, subject.abandon(0, &former).await)?;
    let answers = race(&subject, |_| Owner {
        fingerprint: former.fingerprint,
        ..Owner::random()
    })
    .await;
    one_acquired(rule, 2, &answers)
}

/// Claims as all of these at once; what they acquire is kept until all have answered.
async fn race(subject: &Subject, owner: impl Fn(usize) -> Owner) -> Vec<Answer> {
    let mut claims = JoinSet::new();
    for number in 0..CLAIMS {
        let (subject, owner) = (subject.clone(), owner(number));
        claims.spawn(async move { subject.claim(number, &owner).await });
    }
    claims.join_all().await
}

fn one_acquired(rule: &str, fence: u32, answers: &[Answer]) -> Checked {
    let acquired = answers
        .iter()
        .filter(|answer| **answer == Answer::acquired(fence))
        .count();
    let held = answers
        .iter()
        .filter(|answer| **answer == Answer::held())
        .count();
    if acquired == 1 && held == answers.len() - 1 {
        return Ok(());
    }
    let other = answers
        .iter()
        .find(|a| ![Answer::acquired(fence), Answer::held()].contains(a));
    let other = other
        .map(|answer| format!(", and {answer}"))
        .unwrap_or_default();
    let expected = format!("1 acquired under fence {fence}, {} held", answers.len() - 1);
    Err(Violation::new(
        rule,
        expected,
        format!("{acquired} acquired, {held} held{other}"),
    )
    .into())
}

/// The same from threads that run at the same instant, which tasks on one thread do not.
///
/// Tokio waits for such threads however long they take, even while time is paused: this is for
/// stores that have passed all else.
pub(super) async fn one_of_many_threads_acquires(subject: Subject) -> Checked {
    let rule = "of claims from many threads at once, one is acquired and the others are held";
    let rounds = if subject.capabilities.holds_many {
        CLAIMS / THREADS
    } else {
        1
    };
    let subjects: Arc<[Subject]> = (0..rounds).map(|_| subject.another()).collect();
    let arrived: Arc<[AtomicUsize]> = subjects.iter().map(|_| AtomicUsize::new(0)).collect();
    let mut threads = JoinSet::new();
    for number in 0..THREADS {
        let (subjects, arrived, runtime) = (subjects.clone(), arrived.clone(), Handle::current());
        let claims = move || {
            let mut answers: Vec<Answer> = Vec::new();
            for (subject, arrived) in subjects.iter().zip(&*arrived) {
                if meet(arrived) {
                    // All have been answered in the round before, and need not be kept out of it.
                    answers.iter_mut().for_each(Answer::let_go);
                }
                let owner = Owner::random();
                let claim = async { timeout(LIMIT, subject.claim(number, &owner)).await };
                match runtime.block_on(claim) {
                    Ok(answer) => answers.push(answer),
                    Err(_) => break,
                }
            }
            answers
        };
        threads.spawn(spawn_blocking(claims));
    }
    let mut by_subject: Vec<Vec<Answer>> = subjects.iter().map(|_| Vec::new()).collect();
    for answers in threads.join_all().await {
        let answers = answers.map_err(|panic| Violation::new(rule, "no panic", panic))?;
        by_subject
            .iter_mut()
            .zip(answers)
            .for_each(|(all, answer)| all.push(answer));
    }
    by_subject
        .iter()
        .try_for_each(|answers| one_acquired(rule, 1, answers))
}

const LIMIT: Duration = Duration::from_secs(10);

/// Waits until all threads have come, but not for one that will never come. Returns whether all
/// have.
fn meet(arrived: &AtomicUsize) -> bool {
    let start = Instant::now();
    arrived.fetch_add(1, Ordering::Release);
    while arrived.load(Ordering::Acquire) < THREADS {
        if start.elapsed() > Duration::from_secs(1) {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// A former owner that completes while another takes over: one of the two wins.
pub(super) async fn late_completion_or_takeover(subject: Subject) -> Checked {
    let rule = "when a lapsed owner completes while another takes over, one of the two succeeds";
    let mut rounds = JoinSet::new();
    for _ in 0..CLAIMS / 4 {
        rounds.spawn(late_completion_round(subject.another(), rule));
    }
    rounds.join_all().await.into_iter().collect()
}

async fn late_completion_round(subject: Subject, rule: &str) -> Checked {
    let former = Owner::random().lasting(subject.unit, super::subject::LONG);
    let next = Owner {
        fingerprint: former.fingerprint,
        ..Owner::random()
    };
    let _held = subject.claim(0, &former).await;
    subject.pass_a_unit().await;
    let (completing, claiming) = ((subject.clone(), former.clone()), (subject.clone(), next));
    let complete = tokio::spawn(async move { completing.0.complete(0, &completing.1).await });
    let claim = tokio::spawn(async move {
        let (subject, next) = claiming;
        subject
            .claim_as(1, &next, &next.fingerprint, UnknownOutcome::Retry)
            .await
    });
    let panicked = |panic| Violation::new(rule, "no panic", panic);
    let completed = complete.await.map_err(panicked)?;
    let claimed = claim.await.map_err(panicked)?;
    let kept = Answer::Completion(Completion::Kept);
    let (expected, left) = if completed == kept {
        (
            Answer::Completed(former.record.clone()),
            Answer::Completed(former.record.clone()),
        )
    } else {
        expect(rule, Answer::Completion(Completion::Superseded), completed)?;
        (Answer::acquired(2), Answer::held())
    };
    expect(rule, expected, claimed)?;
    expect(rule, left, subject.look(2).await)
}
