//! What time does to claims and records.

use std::time::Duration;

use super::{
    subject::{Answer, LONG, Owner, Subject},
    violation::{Checked, Violation, expect},
};
use crate::{
    UnknownOutcome,
    runtime::Instant,
    store::{Claim, Completion, Renewal},
};

const RENEWED: Answer = Answer::Renewal(Renewal::Renewed);
const KEPT: Answer = Answer::Completion(Completion::Kept);

/// Looks at a claim with its own fingerprint, without taking it over.
async fn look_again(subject: &Subject, owner: &Owner) -> Answer {
    let (stranger, policy) = (Owner::random(), UnknownOutcome::Refuse);
    subject
        .claim_as(1, &stranger, &owner.fingerprint, policy)
        .await
}

pub(super) async fn claims_lapse(subject: Subject) -> Checked {
    let rule = "a claim is held until its lease has passed, and then its outcome is unknown";
    let lease = subject.unit * 2;
    let owner = Owner::random().lasting(lease, LONG);
    let start = Instant::now();
    let _held = subject.claim(0, &owner).await;
    let held = Instant::now();
    subject.pass_until(start, 1).await;
    let surely_passed = held.elapsed();
    let seen = look_again(&subject, &owner).await;
    subject.in_time(start, 2)?;
    expect(rule, &Answer::held(), &seen)?;
    subject.pass_until(held + subject.unit / 2, 2).await;
    expect(
        rule,
        Answer::Unknown(owner.fingerprint),
        look_again(&subject, &owner).await,
    )?;
    if let Answer::Held {
        left: Some(left), ..
    } = seen
    {
        // A client may not reckon with more time than there is; its clock may be coarse.
        let most = lease.saturating_sub(surely_passed) + Duration::from_millis(10);
        if left > most || left.is_zero() {
            let rule = "a held claim tells the time that is left of its lease";
            let expected = format!("at most {most:?}");
            return Err(Violation::new(rule, expected, format!("{left:?}")).into());
        }
    }
    Ok(())
}

pub(super) async fn a_lapsed_claim_is_taken_over(subject: Subject) -> Checked {
    let rule = "every taking over raises fence and attempt by one";
    let first = Owner::random();
    let mut held = Vec::new();
    for fence in 1..=5 {
        let mut owner = Owner::random().lasting(subject.unit, LONG);
        owner.fingerprint = first.fingerprint;
        let answer = subject.claim(fence as usize, &owner).await;
        expect(rule, &Answer::acquired(fence), &answer)?;
        held.push(answer);
        match fence {
            1 | 4 => subject.pass_a_unit().await,
            2 => expect(rule, Answer::Done, subject.abandon(0, &owner).await)?,
            _ => expect(rule, Answer::Done, subject.release(0, &owner).await)?,
        }
    }
    Ok(())
}

pub(super) async fn renewal_moves_the_deadline(subject: Subject) -> Checked {
    let rule = "renewal moves the deadline to a lease from now, and no further";
    let owner = Owner::random().lasting(subject.unit * 3, LONG);
    let start = Instant::now();
    let _held = subject.claim(0, &owner).await;
    subject.pass_until(start, 2).await;
    let renewed = Instant::now();
    expect(rule, RENEWED, subject.renew(1, &owner).await)?;
    let surely_renewed = Instant::now();
    subject.in_time(start, 3)?;
    subject.pass_until(start + subject.unit / 2, 3).await;
    let seen = look_again(&subject, &owner).await;
    subject.in_time(renewed, 3)?;
    expect(rule, Answer::held(), seen)?;
    subject
        .pass_until(surely_renewed + subject.unit / 2, 3)
        .await;
    expect(
        rule,
        Answer::Unknown(owner.fingerprint),
        look_again(&subject, &owner).await,
    )
}

pub(super) async fn renewal_moves_the_expiry(subject: Subject) -> Checked {
    let rule = "renewal moves the expiry too: the ttl counts from the new deadline";
    let owner = Owner::random().lasting(subject.unit * 3, subject.unit * 3);
    let start = Instant::now();
    let _held = subject.claim(0, &owner).await;
    subject.pass_until(start, 2).await;
    let renewed = Instant::now();
    let answer = subject.renew(1, &owner).await;
    // Renewed later, it would not have lapsed when it is looked at.
    subject.in_time(start, 3)?;
    expect(rule, RENEWED, answer)?;
    // Without the renewal, the claim would have expired after six.
    subject.pass_until(start + subject.unit / 2, 6).await;
    let seen = look_again(&subject, &owner).await;
    subject.in_time(renewed, 6)?;
    expect(rule, Answer::Unknown(owner.fingerprint), seen)?;
    subject.pass_until(Instant::now(), 3).await;
    expect(rule, Answer::acquired(1), subject.look(1).await)
}

pub(super) async fn a_lapsed_claim_expires(subject: Subject) -> Checked {
    let rule = "a lapsed claim stays for its ttl, and is then forgotten";
    let owner = Owner::random().lasting(subject.unit, subject.unit * 2);
    let start = Instant::now();
    let _held = subject.claim(0, &owner).await;
    let held = Instant::now();
    subject.pass_until(held + subject.unit / 2, 1).await;
    let seen = look_again(&subject, &owner).await;
    subject.in_time(start, 3)?;
    expect(rule, Answer::Unknown(owner.fingerprint), seen)?;
    subject.pass_until(held + subject.unit / 2, 3).await;
    expect(
        rule,
        Answer::Renewal(Renewal::Lost),
        subject.renew(0, &owner).await,
    )?;
    expect(rule, Answer::acquired(1), subject.look(1).await)
}

pub(super) async fn an_abandoned_claim_expires(subject: Subject) -> Checked {
    let rule = "an abandoned claim stays for its ttl, and is forgotten a lease later at most";
    let owner = Owner::random().lasting(subject.unit, subject.unit * 2);
    let start = Instant::now();
    let _held = subject.claim(0, &owner).await;
    expect(rule, Answer::Done, subject.abandon(0, &owner).await)?;
    let abandoned = Instant::now();
    subject.pass_until(start, 1).await;
    let seen = look_again(&subject, &owner).await;
    subject.in_time(start, 2)?;
    expect(rule, Answer::Unknown(owner.fingerprint), seen)?;
    subject.pass_until(abandoned + subject.unit / 2, 3).await;
    expect(rule, Answer::acquired(1), subject.look(1).await)
}

pub(super) async fn a_record_expires(subject: Subject) -> Checked {
    let rule = "a record is kept for its ttl from its completion, and then forgotten";
    let owner = Owner::random().lasting(LONG, subject.unit * 3);
    let _held = subject.claim(0, &owner).await;
    subject.pass_until(Instant::now(), 1).await;
    let start = Instant::now();
    expect(rule, KEPT, subject.complete(0, &owner).await)?;
    let completed = Instant::now();
    subject.pass_until(start, 2).await;
    let seen = subject.look(1).await;
    subject.in_time(start, 3)?;
    expect(rule, Answer::Completed(owner.record.clone()), seen)?;
    subject.pass_until(completed + subject.unit / 2, 3).await;
    expect(rule, Answer::acquired(1), subject.look(1).await)
}

pub(super) async fn a_late_record_gets_its_whole_ttl(subject: Subject) -> Checked {
    let rule = "the ttl of a record counts from its completion, not from its claim";
    let owner = Owner::random().lasting(subject.unit, subject.unit * 3);
    let start = Instant::now();
    let _held = subject.claim(0, &owner).await;
    subject.pass_until(start, 3).await;
    let completing = Instant::now();
    let completed = subject.complete(1, &owner).await;
    subject.in_time(start, 4)?;
    expect(rule, KEPT, completed)?;
    subject.pass_until(completing, 2).await;
    let seen = subject.look(1).await;
    subject.in_time(completing, 3)?;
    expect(rule, Answer::Completed(owner.record.clone()), seen)
}

pub(super) async fn every_duration_is_legal(subject: Subject) -> Checked {
    let rule = "a lease or ttl may be zero, below a millisecond, or Duration::MAX";
    for lease in [Duration::ZERO, Duration::from_micros(1), Duration::MAX] {
        for ttl in [Duration::ZERO, Duration::from_micros(999), Duration::MAX] {
            let subject = subject.another();
            let owner = Owner::random().lasting(lease, ttl);
            let _held = acquire(rule, &subject, &owner).await?;
            if lease == Duration::MAX {
                let seen = subject.look(1).await;
                expect(rule, &Answer::held(), &seen)?;
                if let Answer::Held {
                    left: Some(left), ..
                } = seen
                {
                    expect(rule, true, left <= Claim::MAX_LEASE)?;
                }
                expect(rule, RENEWED, subject.renew(0, &owner).await)?;
            }
            expect(rule, KEPT, subject.complete(0, &owner).await)?;
            if ttl == Duration::MAX {
                let completed = Answer::Completed(owner.record.clone());
                expect(rule, completed, subject.look(1).await)?;
            } else {
                subject.pass_a_unit().await;
                expect(rule, Answer::acquired(1), subject.look(1).await)?;
            }
        }
    }
    Ok(())
}

async fn acquire(
    rule: &str,
    subject: &Subject,
    owner: &Owner,
) -> Result<Answer, super::violation::Failed> {
    let answer = subject.claim(0, owner).await;
    expect(rule, &Answer::acquired(1), &answer).map(|()| answer)
}
