//! Every operation, sent once and twice, in every state.

use super::{
    operation::Operation,
    state::{Cast, Condition, State, Whose},
    subject::{Answer, LONG, Owner, Subject},
    violation::{Checked, Failed, Violation, expect},
};
use crate::{
    UnknownOutcome,
    store::{Completion, Renewal},
};

/// One row of the contract's table.
#[derive(Clone, Copy)]
pub(super) struct Row {
    found: State,
    operation: Operation,
    times: usize,
}

impl Row {
    pub(super) fn all(durable_claims: bool) -> impl Iterator<Item = Self> {
        State::all(durable_claims).into_iter().flat_map(|found| {
            let another = |operation: &Operation| {
                matches!(
                    operation,
                    Operation::Claim {
                        same_fingerprint: false,
                        ..
                    }
                )
            };
            Operation::all()
                .into_iter()
                .filter(move |operation| found != State::Absent || !another(operation))
                .flat_map(move |operation| {
                    [1, 2].map(|times| Self {
                        found,
                        operation,
                        times,
                    })
                })
        })
    }

    pub(super) async fn check(self, subject: Subject) -> Checked {
        let Self {
            found,
            operation,
            times,
        } = self;
        let (mine, another) = (Owner::random(), Owner::random());
        let fingerprint = mine.fingerprint;
        let cast = Cast {
            mine,
            another,
            fingerprint,
        };
        let sent = if times == 2 { ", sent twice" } else { "" };
        let rule = format!("{operation}{sent}, found {found}");

        let held = set_up(&subject, &cast, found, &rule).await?;
        let mut state = found;
        let mut answers = Vec::new();
        for _ in 0..times {
            let (allowed, next) = if subject.capabilities.durable_claims {
                state.apply(operation, &cast)
            } else {
                state.apply_transactional(operation, &cast)
            };
            let answer = perform(&subject, &cast, operation).await;
            if !allowed.contains(&answer) {
                let allowed: Vec<_> = allowed.iter().map(Answer::to_string).collect();
                return Err(Violation::new(rule, allowed.join(" or "), answer).into());
            }
            answers.push(answer);
            state = next;
        }
        let seen = describe(&subject, &cast).await;
        drop((held, answers));
        match state {
            State::InFlight {
                whose: Whose::Mine,
                condition: Condition::Resent,
                fence,
            } => {
                let [live, lapsed] = [Condition::Live, Condition::Lapsed].map(|condition| {
                    State::InFlight {
                        whose: Whose::Mine,
                        condition,
                        fence,
                    }
                    .to_string()
                });
                if seen == live {
                    Ok(())
                } else {
                    leaves(&rule, &lapsed, &seen)
                }
            }
            _ => leaves(&rule, &state.to_string(), &seen),
        }
    }
}

fn leaves(rule: &str, expected: &str, seen: &str) -> Checked {
    expect(
        rule,
        format!("leaves it {expected}"),
        format!("leaves it {seen}"),
    )
}

/// Brings the name into a state. What it returns keeps the claims that were acquired.
async fn set_up(
    subject: &Subject,
    cast: &Cast,
    state: State,
    rule: &str,
) -> Result<Vec<Answer>, Failed> {
    let rule = format!("{rule}: while getting there");
    let mut held = Vec::new();
    let acquire = async |owner: &Owner, fence| {
        let fingerprint = &cast.fingerprint;
        let answer = subject
            .claim_as(0, owner, fingerprint, UnknownOutcome::Retry)
            .await;
        expect(&rule, &Answer::acquired(fence), &answer).map(|()| answer)
    };
    match state {
        State::Absent => {}
        State::InFlight {
            whose,
            condition,
            fence,
        } => {
            for earlier in 1..fence {
                let former = Owner::random();
                held.push(acquire(&former, earlier).await?);
                expect(&rule, Answer::Done, subject.abandon(0, &former).await)?;
            }
            let owner = cast.owner(whose).clone();
            if condition == Condition::Lapsed {
                held.push(acquire(&owner.lasting(subject.unit, LONG), fence).await?);
                subject.pass_a_unit().await;
            } else {
                held.push(acquire(&owner, fence).await?);
            }
            if condition == Condition::Abandoned {
                expect(
                    &rule,
                    Answer::Done,
                    subject.abandon(0, cast.owner(whose)).await,
                )?;
            }
        }
        State::Completed(whose) => {
            held.push(acquire(cast.owner(whose), 1).await?);
            let completed = subject.complete(0, cast.owner(whose)).await;
            expect(&rule, Answer::Completion(Completion::Kept), completed)?;
        }
    }
    Ok(held)
}

/// Does it through another client than the one that set up.
async fn perform(subject: &Subject, cast: &Cast, operation: Operation) -> Answer {
    let mine = &cast.mine;
    match operation {
        Operation::Claim {
            same_fingerprint,
            policy,
        } => {
            let other = Owner::random().fingerprint;
            let fingerprint = if same_fingerprint {
                cast.fingerprint
            } else {
                other
            };
            subject.claim_as(1, mine, &fingerprint, policy).await
        }
        Operation::Renew => subject.renew(1, mine).await,
        Operation::Complete => subject.complete(1, mine).await,
        Operation::Release => subject.release(1, mine).await,
        Operation::Abandon => subject.abandon(1, mine).await,
    }
}

/// Finds out what stands under the name, in the words of [`State`].
async fn describe(subject: &Subject, cast: &Cast) -> String {
    match subject.look(2).await {
        Answer::Acquired(acquired) if acquired.fence == 1 && acquired.attempt == 1 => {
            State::Absent.to_string()
        }
        Answer::Held {
            left: Some(left), ..
        } if left > LONG => {
            format!("held for {left:?}, longer than its lease")
        }
        Answer::Held {
            fingerprint: Some(fingerprint),
            ..
        } if fingerprint != cast.fingerprint => {
            "held, with a fingerprint that is not the claim's".into()
        }
        Answer::Held { .. } => match in_flight(subject, cast, Condition::Live).await {
            Some(claim) => claim,
            None => "held by nobody that claimed it".into(),
        },
        Answer::Unknown(fingerprint) if fingerprint != cast.fingerprint => {
            "unknown, with a fingerprint that is not the claim's".into()
        }
        Answer::Unknown(_) => match in_flight(subject, cast, Condition::Lapsed).await {
            Some(claim) => claim,
            None => abandoned(subject, cast).await,
        },
        Answer::Completed(record) => completed(subject, cast, &record).await,
        answer => answer.to_string(),
    }
}

async fn in_flight(subject: &Subject, cast: &Cast, condition: Condition) -> Option<String> {
    for whose in [Whose::Mine, Whose::Anothers] {
        let owner = cast.owner(whose);
        if subject.renew(2, owner).await == Answer::Renewal(Renewal::Renewed) {
            return Some(match subject.claim(2, owner).await {
                Answer::Acquired(a) if a.fence == u64::from(a.attempt) => State::InFlight {
                    whose,
                    condition,
                    fence: a.attempt,
                }
                .to_string(),
                answer => answer.to_string(),
            });
        }
    }
    None
}

async fn abandoned(subject: &Subject, cast: &Cast) -> String {
    let next = Owner::random();
    match subject
        .claim_as(2, &next, &cast.fingerprint, UnknownOutcome::Retry)
        .await
    {
        Answer::Acquired(a) if a.fence == u64::from(a.attempt) => {
            let (whose, condition) = (Whose::Mine, Condition::Abandoned);
            State::InFlight {
                whose,
                condition,
                fence: a.attempt.saturating_sub(1),
            }
            .to_string()
        }
        answer => format!("abandoned, and then {answer}"),
    }
}

async fn completed(subject: &Subject, cast: &Cast, record: &[u8]) -> String {
    let mut resend = cast.mine.clone();
    resend.record = Owner::random().record;
    let whose = match subject.complete(2, &resend).await {
        Answer::Completion(Completion::Kept) => Whose::Mine,
        Answer::Completion(Completion::Superseded) => Whose::Anothers,
        answer => return format!("completed, and then {answer}"),
    };
    if record != cast.owner(whose).record {
        return "completed with a record that is not its owner's".into();
    }
    match subject.look(2).await {
        Answer::Completed(again) if again == record => State::Completed(whose).to_string(),
        answer => format!("completed, and after another complete {answer}"),
    }
}
