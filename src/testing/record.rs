//! What is kept, and that names have nothing to do with each other.

use bytes::Bytes;

use super::{
    subject::{Answer, Owner, Subject},
    violation::{Checked, expect},
};
use crate::{
    runtime,
    store::{Completion, Effects, Renewal},
};

const KEPT: Answer = Answer::Completion(Completion::Kept);

pub(super) async fn records_come_back_as_they_were(subject: Subject) -> Checked {
    let rule = "a record is opaque bytes, given back as they came";
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let noise = runtime::random::<1024>();
    let mebibyte = noise.iter().cycle().take(1 << 20).copied().collect();
    let lines = b"\0\r\n$5\r\n\\x'\"\xff\xfe".to_vec();
    for record in [
        Vec::new(),
        vec![0],
        every_byte,
        lines,
        vec![0; 1 << 16],
        mebibyte,
    ] {
        let subject = subject.another();
        let mut owner = Owner::random();
        owner.record = Bytes::from(record);
        let _held = subject.claim(0, &owner).await;
        expect(rule, KEPT, subject.complete(0, &owner).await)?;
        for client in 0..3 {
            expect(
                rule,
                Answer::Completed(owner.record.clone()),
                subject.look(client).await,
            )?;
        }
    }
    Ok(())
}

pub(super) async fn undone_effects_leave_the_record(subject: Subject) -> Checked {
    let rule = "a record is kept whatever becomes of the handler's writes";
    let owner = Owner::random();
    let _held = subject.claim(0, &owner).await;
    let (claim, record) = (owner.claim(&subject.name), owner.record.clone());
    let answer = subject
        .client(0)
        .complete(&claim, record, Effects::Undo)
        .await;
    expect(rule, KEPT, answer.into())?;
    expect(
        rule,
        Answer::Completed(owner.record.clone()),
        subject.look(1).await,
    )
}

pub(super) async fn names_are_independent(subject: Subject) -> Checked {
    let rule = "an operation on one name changes no other, the owner being the same";
    let [held, abandoned, released, completed] = [(); 4].map(|()| subject.another());
    let owner = Owner::random();
    let mut acquired = Vec::new();
    if !subject.capabilities.holds_many {
        return one_after_another(rule, [&completed, &abandoned, &released, &held], &owner).await;
    }
    for subject in [&held, &abandoned, &released, &completed] {
        acquired.push(subject.claim(0, &owner).await);
    }
    acquired
        .iter()
        .try_for_each(|answer| expect(rule, &Answer::acquired(1), answer))?;
    expect(rule, KEPT, completed.complete(1, &owner).await)?;
    expect(rule, Answer::Done, abandoned.abandon(1, &owner).await)?;
    expect(rule, Answer::Done, released.release(1, &owner).await)?;
    expect(rule, Answer::held(), held.look(2).await)?;
    expect(rule, Answer::acquired(1), released.look(2).await)?;
    expect(
        rule,
        Answer::Completed(owner.record.clone()),
        completed.look(2).await,
    )?;
    let after_abandon = if subject.capabilities.durable_claims {
        Answer::Unknown(owner.fingerprint)
    } else {
        Answer::acquired(1)
    };
    expect(rule, after_abandon, abandoned.look(2).await)?;
    expect(
        rule,
        Answer::Renewal(Renewal::Renewed),
        held.renew(1, &owner).await,
    )
}

/// The same where only one name can be held: each of the others has ended before the next begins.
async fn one_after_another(
    rule: &str,
    [completed, abandoned, released, held]: [&Subject; 4],
    owner: &Owner,
) -> Checked {
    let acquire = async |subject: &Subject| {
        let acquired = subject.claim(0, owner).await;
        expect(rule, &Answer::acquired(1), &acquired).map(|()| acquired)
    };
    let acquired = acquire(completed).await?;
    expect(rule, KEPT, completed.complete(1, owner).await)?;
    drop(acquired);
    let acquired = acquire(abandoned).await?;
    expect(rule, Answer::Done, abandoned.abandon(1, owner).await)?;
    drop(acquired);
    let acquired = acquire(released).await?;
    expect(rule, Answer::Done, released.release(1, owner).await)?;
    drop(acquired);
    for subject in [abandoned, released] {
        expect(rule, Answer::acquired(1), subject.look(2).await)?;
    }
    let _acquired = acquire(held).await?;
    expect(rule, Answer::held(), held.look(2).await)?;
    expect(
        rule,
        Answer::Completed(owner.record.clone()),
        completed.look(2).await,
    )?;
    expect(
        rule,
        Answer::Renewal(Renewal::Renewed),
        held.renew(1, owner).await,
    )
}

/// A client that has seen one state may not answer from its memory later.
pub(super) async fn claims_are_never_answered_from_a_cache(subject: Subject) -> Checked {
    let rule = "a claim never answers from a replica or a cache";
    let owner = Owner::random();
    for _ in 0..10 {
        let held = subject.claim(0, &owner).await;
        expect(rule, &Answer::acquired(1), &held)?;
        expect(rule, Answer::held(), subject.look(1).await)?;
        expect(rule, Answer::Done, subject.release(0, &owner).await)?;
        let next = Owner::random();
        let held = subject.claim(1, &next).await;
        expect(rule, &Answer::acquired(1), &held)?;
        expect(rule, Answer::held(), subject.look(0).await)?;
        expect(rule, Answer::Done, subject.release(1, &next).await)?;
    }
    let _held = subject.claim(0, &owner).await;
    expect(rule, Answer::held(), subject.look(1).await)?;
    expect(rule, KEPT, subject.complete(0, &owner).await)?;
    expect(
        rule,
        Answer::Completed(owner.record.clone()),
        subject.look(1).await,
    )
}
