use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use http::Response;

use super::super::{
    subject::{Answer, LONG, Owner, Subject},
    violation::{Checked, Failed, Violation, expect},
};
use crate::{
    Admin, RecordName, UnknownOutcome,
    admin::{Entry, Force, Forgotten, Repair, Repaired, State},
    store::{Completion, StoreError},
};

/// One name of the store under test, and those who look after it.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) subject: Subject,
    admins: Arc<[Arc<dyn Admin>]>,
}

/// A claim that was made, and what it holds.
pub(super) struct Held {
    pub(super) owner: Owner,
    _answer: Answer,
}

impl Desk {
    pub(super) fn new(subject: Subject, admins: Arc<[Arc<dyn Admin>]>) -> Self {
        Self { subject, admins }
    }

    /// Returns the same store, under a name of its own.
    pub(super) fn another(&self) -> Self {
        Self::new(self.subject.another(), Arc::clone(&self.admins))
    }

    pub(super) fn admin(&self, client: usize) -> &Arc<dyn Admin> {
        &self.admins[client % self.admins.len()]
    }

    pub(super) fn name(&self) -> &RecordName {
        &self.subject.name
    }

    pub(super) async fn find(&self, client: usize) -> Result<Option<Entry>, Failed> {
        answered("find", self.admin(client).find(self.name()).await)
    }

    /// Finds what must be there.
    pub(super) async fn entry(&self, rule: &str) -> Result<Entry, Failed> {
        let found = self.find(2).await?;
        found.ok_or_else(|| Violation::new(rule, "an entry", "nothing").into())
    }

    pub(super) async fn record(&self, client: usize) -> Result<Option<Bytes>, Failed> {
        answered("record", self.admin(client).record(self.name()).await)
    }

    pub(super) async fn forget(&self, client: usize, force: Force) -> Result<Forgotten, Failed> {
        answered(
            "forget",
            self.admin(client).forget(self.name(), force).await,
        )
    }

    pub(super) async fn repair(&self, client: usize, repair: &Repair) -> Result<Repaired, Failed> {
        answered("repair", self.admin(client).repair(repair).await)
    }

    /// Makes a repair of what is there.
    pub(super) async fn prepare(&self, rule: &str) -> Result<Repair, Failed> {
        let entry = self.entry(rule).await?;
        Repair::new(&entry, paid())
            .map_err(|reason| Violation::new(rule, "an unknown outcome", reason).into())
    }

    /// Brings the name into a state, after so many runs that were abandoned that its fence is this.
    pub(super) async fn bring(&self, rule: &str, state: State, fence: u32) -> Result<Held, Failed> {
        let subject = &self.subject;
        let mut owner = Owner::random();
        let fingerprint = owner.fingerprint;
        for earlier in 1..fence {
            let former = Owner::random();
            let claimed = subject.claim_as(0, &former, &fingerprint, UnknownOutcome::Retry);
            expect(rule, Answer::acquired(earlier), claimed.await)?;
            expect(rule, Answer::Done, subject.abandon(0, &former).await)?;
        }
        if state == State::Lapsed {
            owner = owner.lasting(subject.unit, LONG);
        }
        let answer = subject.claim(0, &owner).await;
        expect(rule, &Answer::acquired(fence), &answer)?;
        match state {
            State::InFlight => {}
            State::Lapsed => subject.pass_a_unit().await,
            State::Abandoned => expect(rule, Answer::Done, subject.abandon(0, &owner).await)?,
            State::Completed => {
                let kept = Answer::Completion(Completion::Kept);
                expect(rule, kept, subject.complete(0, &owner).await)?;
            }
        }
        Ok(Held {
            owner,
            _answer: answer,
        })
    }
}

/// The answer that is recorded by hand.
pub(super) fn paid() -> Response<Bytes> {
    Response::new(Bytes::from_static(b"paid"))
}

fn answered<T>(operation: &str, answer: Result<T, StoreError>) -> Result<T, Failed> {
    answer.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let seen = format!("{error}: {}", cause.unwrap_or_default());
        Violation::new(format!("{operation} answers"), "an answer", seen).into()
    })
}

/// Passes if what was seen is what the rule demands, of what has no words of its own.
pub(super) fn expect_same<T: PartialEq + Debug>(rule: &str, expected: &T, seen: &T) -> Checked {
    if expected == seen {
        return Ok(());
    }
    Err(Violation::new(rule, format!("{expected:?}"), format!("{seen:?}")).into())
}

/// Passes if something is so.
pub(super) fn expect_that(rule: &str, expected: &str, holds: bool, seen: impl Debug) -> Checked {
    if holds {
        return Ok(());
    }
    Err(Violation::new(rule, expected, format!("{seen:?}")).into())
}
