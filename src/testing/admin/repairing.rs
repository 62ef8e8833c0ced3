//! What is recorded by hand, and what is left as it is.

use super::{
    Checked,
    desk::{Desk, Held, expect_same},
};
use crate::{
    UnknownOutcome,
    admin::{Force, Repair, Repaired, State},
    store::{Completion, Renewal},
    testing::{
        subject::{Answer, LONG, Owner},
        violation::{Failed, expect},
        wake::woken,
    },
};

const UNKNOWN: [State; 2] = [State::Lapsed, State::Abandoned];

pub(super) async fn what_is_unknown_is_recorded(desk: Desk) -> Checked {
    let rule = "an answer recorded by hand is a record like any other";
    for state in UNKNOWN {
        for fence in [1, 2] {
            let desk = desk.another();
            let (_held, repair) = repaired(rule, &desk, state, fence).await?;
            let entry = desk.entry(rule).await?;
            expect_same(rule, &State::Completed, &entry.state)?;
            expect_same(rule, desk.name(), &entry.name)?;
            expect_same(rule, &Some(repair.record().clone()), &desk.record(2).await?)?;
            for client in 0..3 {
                is_answered(rule, &desk, client, &repair).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn a_late_owner_is_superseded(desk: Desk) -> Checked {
    let rule = "an owner that comes back after a repair changes nothing";
    for state in UNKNOWN {
        let desk = desk.another();
        let subject = &desk.subject;
        let (held, repair) = repaired(rule, &desk, state, 2).await?;
        let owner = &held.owner;
        let lost = Answer::Renewal(Renewal::Lost);
        expect(rule, lost, subject.renew(0, owner).await)?;
        let superseded = Answer::Completion(Completion::Superseded);
        expect(rule, superseded, subject.complete(0, owner).await)?;
        expect(rule, Answer::Done, subject.abandon(0, owner).await)?;
        expect(rule, Answer::Done, subject.release(0, owner).await)?;
        is_answered(rule, &desk, 1, &repair).await?;
    }
    Ok(())
}

pub(super) async fn a_repair_may_be_repeated(desk: Desk) -> Checked {
    let rule = "a repair that is sent again answers the same, and another one is too late";
    for state in UNKNOWN {
        let desk = desk.another();
        let _held = desk.bring(rule, state, 1).await?;
        let (first, second) = (desk.prepare(rule).await?, desk.prepare(rule).await?);
        for client in [1, 2] {
            let done = desk.repair(client, &first).await?;
            expect_same(rule, &Repaired::Recorded, &done)?;
        }
        let done = desk.repair(1, &second).await?;
        expect_same(rule, &Repaired::Completed, &done)?;
        is_answered(rule, &desk, 1, &first).await?;
    }
    Ok(())
}

pub(super) async fn an_owner_that_came_back_is_left_alone(desk: Desk) -> Checked {
    let rule = "while an owner is at work, nothing is recorded by hand";
    let held = desk.bring(rule, State::Lapsed, 1).await?;
    let repair = desk.prepare(rule).await?;
    let subject = &desk.subject;
    let owner = held.owner.clone().lasting(LONG, LONG);
    let renewed = Answer::Renewal(Renewal::Renewed);
    expect(rule, renewed, subject.renew(0, &owner).await)?;
    let done = desk.repair(1, &repair).await?;
    expect_same(rule, &Repaired::InFlight, &done)?;
    expect(rule, Answer::held(), subject.look(2).await)?;
    let kept = Answer::Completion(Completion::Kept);
    expect(rule, kept, subject.complete(0, &owner).await)
}

pub(super) async fn a_record_is_left_alone(desk: Desk) -> Checked {
    let rule = "an answer that the owner recorded meanwhile is left as it is";
    let held = desk.bring(rule, State::Lapsed, 1).await?;
    let repair = desk.prepare(rule).await?;
    let kept = Answer::Completion(Completion::Kept);
    expect(rule, kept, desk.subject.complete(0, &held.owner).await)?;
    let done = desk.repair(1, &repair).await?;
    expect_same(rule, &Repaired::Completed, &done)?;
    let record = held.owner.record.clone();
    expect(rule, Answer::Completed(record), desk.subject.look(2).await)
}

pub(super) async fn another_run_is_left_alone(desk: Desk) -> Checked {
    let rule = "a repair is of the run that was looked at, and of no later one";
    let held = desk.bring(rule, State::Abandoned, 1).await?;
    let repair = desk.prepare(rule).await?;
    let subject = &desk.subject;
    let next = Owner::random();
    let fingerprint = held.owner.fingerprint;
    let claimed = subject.claim_as(0, &next, &fingerprint, UnknownOutcome::Retry);
    let claimed = claimed.await;
    expect(rule, &Answer::acquired(2), &claimed)?;
    let done = desk.repair(1, &repair).await?;
    expect_same(rule, &Repaired::InFlight, &done)?;
    expect(rule, Answer::Done, subject.abandon(0, &next).await)?;
    is_changed(rule, &desk, &repair).await?;
    expect_same(rule, &Some(2), &desk.entry(rule).await?.fence)
}

pub(super) async fn another_request_is_left_alone(desk: Desk) -> Checked {
    let rule = "a repair is of the request that was looked at, and of no other";
    let _held = desk.bring(rule, State::Abandoned, 1).await?;
    let repair = desk.prepare(rule).await?;
    desk.forget(1, Force::No).await?;
    let _other = desk.bring(rule, State::Abandoned, 1).await?;
    is_changed(rule, &desk, &repair).await
}

async fn is_changed(rule: &str, desk: &Desk, repair: &Repair) -> Checked {
    let done = desk.repair(1, repair).await?;
    expect_same(rule, &Repaired::Changed, &done)?;
    expect_same(rule, &State::Abandoned, &desk.entry(rule).await?.state)
}

pub(super) async fn what_is_absent_stays_so(desk: Desk) -> Checked {
    let rule = "under a name that is absent, nothing is recorded by hand";
    let _held = desk.bring(rule, State::Abandoned, 1).await?;
    let repair = desk.prepare(rule).await?;
    desk.forget(1, Force::No).await?;
    let done = desk.repair(1, &repair).await?;
    expect_same(rule, &Repaired::Absent, &done)?;
    expect_same(rule, &None, &desk.find(2).await?)
}

pub(super) async fn a_record_made_by_hand_expires(desk: Desk) -> Checked {
    let rule = "an answer recorded by hand is kept for the ttl of the repair";
    let _held = desk.bring(rule, State::Abandoned, 1).await?;
    let repair = desk.prepare(rule).await?;
    let short = repair.clone().ttl(desk.subject.unit);
    desk.repair(1, &short).await?;
    desk.subject.pass_a_unit().await;
    expect_same(rule, &None, &desk.find(2).await?)?;

    let desk = desk.another();
    let _held = desk.bring(rule, State::Abandoned, 1).await?;
    let long = desk.prepare(rule).await?.ttl(LONG * 10);
    desk.repair(1, &long).await?;
    let left = desk.entry(rule).await?.expires_in;
    let is_long = left <= LONG * 10 && left > LONG * 9;
    super::desk::expect_that(rule, "what is left of that", is_long, left)
}

pub(super) async fn a_repair_wakes_who_waits(desk: Desk) -> Checked {
    let rule = "a repair wakes who waits";
    let _held = desk.bring(rule, State::Abandoned, 1).await?;
    let repair = desk.prepare(rule).await?;
    let changed = desk.subject.changed(1);
    desk.repair(1, &repair).await?;
    woken(rule, changed).await
}

/// Brings the name into a state, and repairs it.
async fn repaired(
    rule: &str,
    desk: &Desk,
    state: State,
    fence: u32,
) -> Result<(Held, Repair), Failed> {
    let held = desk.bring(rule, state, fence).await?;
    let repair = desk.prepare(rule).await?;
    let done = desk.repair(1, &repair).await?;
    expect_same(rule, &Repaired::Recorded, &done)?;
    Ok((held, repair))
}

/// Passes if whoever claims the name gets what was recorded by hand.
async fn is_answered(rule: &str, desk: &Desk, client: usize, repair: &Repair) -> Checked {
    let record = repair.record().clone();
    expect(
        rule,
        Answer::Completed(record),
        desk.subject.look(client).await,
    )
}
