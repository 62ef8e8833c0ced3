//! What is forgotten, and what is not.

use super::{
    Checked,
    desk::{Desk, expect_same},
};
use crate::{
    admin::{Force, Forgotten, State},
    store::{Completion, Renewal},
    testing::{
        subject::{Answer, Owner},
        violation::expect,
        wake::woken,
    },
};

pub(super) async fn a_record_is_forgotten(desk: Desk) -> Checked {
    let rule = "a forgotten record is gone, and the next claim is the first";
    let _held = desk.bring(rule, State::Completed, 1).await?;
    is_forgotten(rule, &desk, Force::No).await
}

pub(super) async fn what_is_unknown_is_forgotten(desk: Desk) -> Checked {
    let rule = "a forgotten claim is gone, and the next claim is the first";
    for state in [State::Lapsed, State::Abandoned] {
        for fence in [1, 2] {
            let desk = desk.another();
            let _held = desk.bring(rule, state, fence).await?;
            is_forgotten(rule, &desk, Force::No).await?;
        }
    }
    Ok(())
}

pub(super) async fn a_live_claim_is_forgotten_by_force_alone(desk: Desk) -> Checked {
    let rule = "a claim whose owner is at work is not forgotten, unless by force";
    for fence in [1, 2] {
        let desk = desk.another();
        let subject = &desk.subject;
        let held = desk.bring(rule, State::InFlight, fence).await?;
        expect_same(
            rule,
            &Forgotten::InFlight,
            &desk.forget(1, Force::No).await?,
        )?;
        let renewed = Answer::Renewal(Renewal::Renewed);
        expect(rule, renewed, subject.renew(0, &held.owner).await)?;
        is_forgotten(rule, &desk, Force::Yes).await?;
        let superseded = Answer::Completion(Completion::Superseded);
        expect(rule, superseded, subject.complete(0, &held.owner).await)?;
    }
    Ok(())
}

/// Forgets what is there, and claims the name anew.
async fn is_forgotten(rule: &str, desk: &Desk, force: Force) -> Checked {
    expect_same(rule, &Forgotten::Forgotten, &desk.forget(1, force).await?)?;
    expect_same(rule, &None, &desk.find(2).await?)?;
    expect_same(rule, &Forgotten::Absent, &desk.forget(1, force).await?)?;
    let next = Owner::random();
    let claimed = desk.subject.claim(2, &next).await;
    expect(rule, &Answer::acquired(1), &claimed)
}

pub(super) async fn others_are_left_alone(desk: Desk) -> Checked {
    let rule = "forgetting one name changes no other";
    let others = [State::InFlight, State::Abandoned, State::Completed];
    let mut kept = Vec::new();
    for state in others {
        let other = desk.another();
        kept.push((other.bring(rule, state, 1).await?, other, state));
    }
    let _held = desk.bring(rule, State::Completed, 1).await?;
    desk.forget(1, Force::Yes).await?;
    for (_, other, state) in &kept {
        expect_same(rule, state, &other.entry(rule).await?.state)?;
    }
    Ok(())
}

pub(super) async fn forgetting_wakes_who_waits(desk: Desk) -> Checked {
    let rule = "forgetting wakes who waits";
    let _held = desk.bring(rule, State::InFlight, 1).await?;
    let changed = desk.subject.changed(1);
    desk.forget(1, Force::Yes).await?;
    woken(rule, changed).await
}
