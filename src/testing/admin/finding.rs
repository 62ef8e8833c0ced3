//! What is found, and what is told of it.

use super::{
    Checked,
    desk::{Desk, expect_same, expect_that},
};
use crate::{
    admin::{Force, Forgotten, State},
    testing::subject::{LONG, Owner},
};

pub(super) async fn what_is_not_there_is_not_found(desk: Desk) -> Checked {
    let rule = "under a name that was never claimed, or has expired, nothing is found";
    expect_same(rule, &None, &desk.find(0).await?)?;
    expect_same(rule, &None, &desk.record(0).await?)?;
    for force in [Force::No, Force::Yes] {
        expect_same(rule, &Forgotten::Absent, &desk.forget(0, force).await?)?;
    }
    let expired = desk.another();
    let subject = &expired.subject;
    let owner = Owner::random().lasting(LONG, subject.unit);
    let _held = subject.claim(0, &owner).await;
    subject.complete(0, &owner).await;
    subject.pass_a_unit().await;
    expect_same(rule, &None, &expired.find(0).await?)?;
    expect_same(rule, &None, &expired.record(0).await?)?;
    expect_same(
        rule,
        &Forgotten::Absent,
        &expired.forget(0, Force::No).await?,
    )
}

pub(super) async fn a_record_is_found(desk: Desk) -> Checked {
    let rule = "find tells the state, the length and the expiry of a record, and record returns it";
    let held = desk.bring(rule, State::Completed, 1).await?;
    let entry = desk.entry(rule).await?;
    expect_same(rule, desk.name(), &entry.name)?;
    expect_same(rule, &State::Completed, &entry.state)?;
    expect_same(rule, &None, &entry.lease_left)?;
    let record = &held.owner.record;
    expect_that(
        rule,
        "no shorter than it was given",
        entry.bytes >= record.len(),
        &entry,
    )?;
    let kept = entry.expires_in <= LONG && entry.expires_in > LONG / 2;
    expect_that(rule, "what is left of its ttl", kept, &entry)?;
    for client in 0..3 {
        expect_same(rule, &Some(record.clone()), &desk.record(client).await?)?;
    }
    Ok(())
}

pub(super) async fn every_claim_is_found(desk: Desk) -> Checked {
    for state in [State::InFlight, State::Lapsed, State::Abandoned] {
        for fence in [1, 2] {
            a_claim_is_found(desk.another(), state, fence).await?;
        }
    }
    Ok(())
}

async fn a_claim_is_found(desk: Desk, state: State, fence: u32) -> Checked {
    let rule = format!("find tells what there is to know of a claim that is {state}");
    let held = desk.bring(&rule, state, fence).await?;
    let entry = desk.entry(&rule).await?;
    expect_same(&rule, desk.name(), &entry.name)?;
    expect_same(&rule, &state, &entry.state)?;
    expect_same(&rule, &Some(u64::from(fence)), &entry.fence)?;
    expect_same(&rule, &Some(fence), &entry.attempt)?;
    let fingerprint = held.owner.fingerprint;
    expect_same(&rule, &Some(fingerprint), &entry.fingerprint)?;
    expect_same(&rule, &0, &entry.bytes)?;
    let left = entry.lease_left;
    let is_told = match state {
        State::InFlight => left.is_some_and(|left| left <= LONG && left > LONG / 2),
        _ => left.is_none(),
    };
    expect_that(&rule, "what is left of a live lease", is_told, &entry)?;
    let is_kept = entry.expires_in <= LONG * 2 && entry.expires_in > LONG / 2;
    expect_that(&rule, "what is left of lease and ttl", is_kept, &entry)?;
    expect_same(&rule, &None, &desk.record(1).await?)
}
