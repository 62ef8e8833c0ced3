//! A repair, and others at the same time.

use tokio::{join, task::JoinSet};

use super::{
    Checked,
    desk::{Desk, expect_same, expect_that},
};
use crate::{
    UnknownOutcome,
    admin::{Repaired, State},
    store::Completion,
    testing::{
        subject::{Answer, Owner},
        violation::expect,
    },
};

const ROUNDS: usize = 10;

pub(super) async fn late_completion_or_repair(desk: Desk) -> Checked {
    let rule = "of a late completion and a repair at once, one is kept";
    for _ in 0..ROUNDS {
        let desk = desk.another();
        let held = desk.bring(rule, State::Lapsed, 1).await?;
        let repair = desk.prepare(rule).await?;
        let completed = desk.subject.complete(0, &held.owner);
        let (completed, repaired) = join!(completed, desk.repair(1, &repair));
        let (record, other) = match repaired? {
            Repaired::Recorded => (repair.record(), Completion::Superseded),
            repaired => {
                expect_same(rule, &Repaired::Completed, &repaired)?;
                (&held.owner.record, Completion::Kept)
            }
        };
        expect(rule, Answer::Completion(other), completed)?;
        let record = Answer::Completed(record.clone());
        expect(rule, record, desk.subject.look(2).await)?;
    }
    Ok(())
}

pub(super) async fn takeover_or_repair(desk: Desk) -> Checked {
    let rule = "of a takeover and a repair at once, one is done";
    for _ in 0..ROUNDS {
        let desk = desk.another();
        let held = desk.bring(rule, State::Abandoned, 1).await?;
        let repair = desk.prepare(rule).await?;
        let next = Owner::random();
        let fingerprint = held.owner.fingerprint;
        let claimed = desk
            .subject
            .claim_as(0, &next, &fingerprint, UnknownOutcome::Retry);
        let (claimed, repaired) = join!(claimed, desk.repair(1, &repair));
        let expected = match repaired? {
            Repaired::Recorded => Answer::Completed(repair.record().clone()),
            repaired => {
                expect_same(rule, &Repaired::InFlight, &repaired)?;
                Answer::acquired(2)
            }
        };
        expect(rule, &expected, &claimed)?;
    }
    Ok(())
}

pub(super) async fn one_of_many_repairs(desk: Desk) -> Checked {
    let rule = "of twenty repairs at once, one is recorded";
    let _held = desk.bring(rule, State::Lapsed, 2).await?;
    let mut prepared = Vec::new();
    for _ in 0..20 {
        prepared.push(desk.prepare(rule).await?);
    }
    let mut repairs = JoinSet::new();
    for (number, repair) in prepared.into_iter().enumerate() {
        let desk = desk.clone();
        repairs.spawn(async move { desk.repair(number, &repair).await });
    }
    let mut recorded = 0;
    for done in repairs.join_all().await {
        let done = done?;
        recorded += u32::from(done == Repaired::Recorded);
        let is_told = matches!(done, Repaired::Recorded | Repaired::Completed);
        expect_that(rule, "recorded or too late", is_told, done)?;
    }
    expect_same(rule, &1, &recorded)
}
