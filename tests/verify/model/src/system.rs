use stateright::{Model, Property};
use table::{Answer, Operation, Owner, Rule, Slot};

use crate::{
    Exchange, Found, Phase, Setting,
    exchange::{Ended, Pending, Run, record_of},
};

/// The state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub slot: Slot,
    pub exchanges: Vec<Exchange>,
    /// Requests on their way to the store that nobody waits for any more.
    pub strays: Vec<Operation>,
    pub strays_left: u8,
    pub jumps_left: u8,
    pub losses_left: u8,
    /// The first record that was made.
    pub recorded: Option<u16>,
    pub found: Option<Found>,
}

/// What happens next. A number is an exchange's, which is also its owner token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A client sends its request, and hangs up on its former one if that still runs.
    Send {
        client: u8,
    },
    /// The store applies what an exchange asked.
    Apply(usize),
    /// It does so, and the network delivers the request a second time, later.
    ApplyTwice(usize),
    /// The answer arrives.
    Receive(usize),
    /// The request or its answer is lost.
    Lose(usize),
    /// The exchange gives a request up that is still on its way.
    Delay(usize),
    ApplyStray(usize),
    Renew(usize),
    /// What becomes of the claim is sent to the store, again if need be.
    Settle(usize),
    /// The handler ends.
    End(usize, Ended),
    /// The exchange no longer tries to settle.
    GiveUp(usize),
    /// The lease passes by the exchange's own clock.
    Expire(usize),
    /// So much time passes that what is under way makes no lease any more, either.
    ExpireUnderWay(usize),
    Crash(usize),
    /// The lease passes by the store's clock.
    Lapse,
    Jump,
    LoseKey,
}

impl Model for Setting {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            slot: Slot::Absent,
            exchanges: Vec::new(),
            strays: Vec::new(),
            strays_left: self.strays,
            jumps_left: self.jumps,
            losses_left: self.losses,
            recorded: None,
            found: None,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.exchanges.len() < self.exchanges {
            // The two are alike, so it does not matter which of them begins.
            let clients = if state.exchanges.is_empty() { 1 } else { 2 };
            steps.extend((0..clients).map(|client| Step::Send { client }));
        }
        for (index, exchange) in state.exchanges.iter().enumerate() {
            if exchange.is_over() {
                continue;
            }
            steps.push(Step::Crash(index));
            match exchange.pending {
                Some(Pending { answer: None, .. }) => {
                    steps.extend([Step::Apply(index), Step::Lose(index)]);
                    if state.strays_left > 0 {
                        steps.extend([Step::ApplyTwice(index), Step::Delay(index)]);
                    }
                }
                Some(_) => steps.extend([Step::Receive(index), Step::Lose(index)]),
                None => match exchange.phase {
                    Phase::Running => {
                        let ends = [Ended::Final, Ended::Nothing, Ended::Unknown];
                        steps.extend(ends.map(|end| Step::End(index, end)));
                        steps.push(Step::Renew(index));
                    }
                    Phase::Settling(_) => {
                        steps.push(Step::Settle(index));
                        if exchange.run.is_some() {
                            steps.push(Step::Renew(index));
                        }
                        if !exchange.valid {
                            steps.push(Step::GiveUp(index));
                        }
                    }
                    Phase::Claiming | Phase::Over => {}
                },
            }
            if exchange.valid {
                steps.push(Step::Expire(index));
            }
            if exchange
                .pending
                .is_some_and(|pending| pending.makes_lease() && !pending.late)
            {
                steps.push(Step::ExpireUnderWay(index));
            }
        }
        steps.extend((0..state.strays.len()).map(Step::ApplyStray));
        if let Slot::InFlight {
            claim,
            lapsed: false,
        } = state.slot
        {
            if state.exchanges[usize::from(claim.owner)].lease_may_pass() {
                steps.push(Step::Lapse);
            } else if state.jumps_left > 0 {
                steps.push(Step::Jump);
            }
        }
        if state.losses_left > 0 && state.slot != Slot::Absent {
            steps.push(Step::LoseKey);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        // What is found ends the search there.
        if last.found.is_some() {
            return None;
        }
        let mut next = last.clone();
        next.step(self, step);
        next.look(self);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Self::KEPT, |_, state: &State| state.found.is_none()),
            Property::sometimes(Self::REPLAYED, |_, state: &State| {
                let replayed = |exchange: &Exchange| exchange.is_over() && exchange.run.is_none();
                state.recorded.is_some() && state.exchanges.iter().any(replayed)
            }),
        ]
    }
}

impl State {
    fn step(&mut self, setting: &Setting, step: Step) {
        match step {
            Step::Send { client } => self.send(setting, client),
            Step::Apply(index) => self.apply_pending(setting, index),
            Step::ApplyTwice(index) => {
                self.stray(index);
                self.apply_pending(setting, index);
            }
            Step::Receive(index) => {
                if let Some(pending) = self.exchanges[index].pending.take()
                    && let Some(answer) = pending.answer
                {
                    self.receive(setting, index, pending, answer);
                }
            }
            Step::Lose(index) => self.fail(setting, index),
            Step::Delay(index) => {
                self.stray(index);
                self.fail(setting, index);
            }
            Step::ApplyStray(index) => {
                let operation = self.strays.remove(index);
                self.apply(setting, operation);
            }
            Step::Renew(index) => self.ask(index, Operation::Renew(owner(index))),
            Step::Settle(index) => {
                if let Phase::Settling(operation) = self.exchanges[index].phase {
                    self.ask(index, operation);
                }
            }
            Step::End(index, ended) => {
                let exchange = &mut self.exchanges[index];
                if let Some(run) = &mut exchange.run {
                    run.ended = Some(ended);
                }
                let owner = owner(index);
                exchange.phase = Phase::Settling(match ended {
                    Ended::Final => Operation::Complete(owner, record_of(owner)),
                    Ended::Unknown if setting.keeps(Rule::UnknownIsNotReleased) => {
                        Operation::Abandon(owner)
                    }
                    Ended::Unknown | Ended::Nothing => Operation::Release(owner),
                });
            }
            Step::GiveUp(index) | Step::Crash(index) => {
                let exchange = &mut self.exchanges[index];
                let crashed = matches!(step, Step::Crash(_));
                exchange.phase = Phase::Over;
                exchange.valid = false;
                if let Some(pending) = exchange.pending.take()
                    && crashed
                    && pending.answer.is_none()
                    && self.strays_left > 0
                {
                    self.leave(pending.operation);
                }
            }
            Step::Expire(index) => self.exchanges[index].valid = false,
            Step::ExpireUnderWay(index) => {
                let exchange = &mut self.exchanges[index];
                exchange.valid = false;
                if let Some(pending) = &mut exchange.pending {
                    pending.late = true;
                }
            }
            Step::Lapse => {
                self.slot.apply(Operation::Lapse, setting.without);
            }
            Step::Jump => {
                self.jumps_left -= 1;
                self.slot.apply(Operation::Lapse, setting.without);
            }
            Step::LoseKey => {
                self.losses_left -= 1;
                self.slot = Slot::Absent;
            }
        }
    }

    fn send(&mut self, setting: &Setting, client: u8) {
        for exchange in &mut self.exchanges {
            exchange.alone |= exchange.client == client;
        }
        let claim = Operation::Claim {
            owner: owner(self.exchanges.len()),
            request: client * u8::from(setting.other_request),
            retry: setting.retry,
        };
        self.exchanges.push(Exchange::begin(client, claim));
    }

    fn ask(&mut self, index: usize, operation: Operation) {
        self.exchanges[index].pending = Some(Pending::new(operation));
    }

    /// Leaves a copy of what is under way on its way.
    fn stray(&mut self, index: usize) {
        if let Some(pending) = self.exchanges[index].pending {
            self.leave(pending.operation);
        }
    }

    fn leave(&mut self, operation: Operation) {
        self.strays_left -= 1;
        self.strays.push(operation);
        // Any of them may come next, so their order is no state of its own.
        self.strays.sort_unstable();
    }

    fn apply_pending(&mut self, setting: &Setting, index: usize) {
        let Some(Pending { operation, .. }) = self.exchanges[index].pending else {
            return;
        };
        let answer = self.apply(setting, operation);
        if let Some(pending) = &mut self.exchanges[index].pending {
            pending.answer = Some(answer);
        }
    }

    /// Applies an operation, and looks at what it does to whom.
    fn apply(&mut self, setting: &Setting, operation: Operation) -> Answer {
        let before = self.slot;
        let answer = self.slot.apply(operation, setting.without);
        let who = operation.owner();
        let is_claim = matches!(operation, Operation::Claim { .. });
        let is_anothers = before.owner().is_some() && before.owner() != who;
        let is_abandoned = matches!(before, Slot::Abandoned { .. });
        if !is_claim && (is_anothers || is_abandoned) && self.slot != before {
            self.find(Found::LateOwnerChanged);
        }
        let is_refused = matches!(
            answer,
            Answer::Held(_) | Answer::Superseded | Answer::Lost if !is_abandoned
        );
        if is_refused
            && (before.owner() == who || before.owner().is_none())
            && !matches!(
                (before, operation),
                (Slot::Absent | Slot::Completed { .. }, Operation::Renew(_))
            )
        {
            self.find(Found::RefusedByItself);
        }
        if let (Operation::Complete(_, record), Answer::Kept) = (operation, answer) {
            if *self.recorded.get_or_insert(record) != record && setting.losses == 0 {
                self.find(Found::AnotherRecord);
            }
        }
        answer
    }

    /// Goes on after an operation whose answer does not come.
    fn fail(&mut self, setting: &Setting, index: usize) {
        let exchange = &mut self.exchanges[index];
        let Some(pending) = exchange.pending.take() else {
            return;
        };
        if exchange.phase == Phase::Claiming {
            if setting.keeps(Rule::FailedClaimIsNotRun) {
                // Whether the claim was made is not known.
                exchange.phase = Phase::Settling(Operation::Release(owner(index)));
            } else {
                self.run(setting, index, pending, 1, 1);
            }
        } else if !setting.keeps(Rule::SavingGoesOn)
            && matches!(pending.operation, Operation::Complete(..))
        {
            exchange.phase = Phase::Over;
        }
    }

    fn receive(&mut self, setting: &Setting, index: usize, pending: Pending, answer: Answer) {
        match (answer, self.exchanges[index].phase) {
            (Answer::Acquired { fence, attempt }, Phase::Claiming) => {
                let exchange = &mut self.exchanges[index];
                let is_late = pending.late && setting.keeps(Rule::LateClaimIsReleased);
                let is_alone = exchange.alone && setting.keeps(Rule::HangUpReleases);
                if is_late || is_alone {
                    exchange.phase = Phase::Settling(Operation::Release(owner(index)));
                } else {
                    self.run(setting, index, pending, fence, attempt);
                }
            }
            (Answer::Completed(record), _) => {
                let theirs = self.request_of(setting, usize::from(record));
                let is_same = theirs == self.request_of(setting, index);
                self.exchanges[index].phase = Phase::Over;
                if is_same || !setting.keeps(Rule::ReplayComparesRequests) {
                    if !is_same {
                        self.find(Found::RequestsMixedUp);
                    }
                    if self.recorded != Some(record) {
                        self.find(Found::AnotherRecord);
                    }
                }
            }
            (Answer::Renewed, _) => {
                let counts_from_now = !setting.keeps(Rule::LeaseCountsFromAsking);
                self.exchanges[index].valid = !pending.late || counts_from_now;
            }
            (Answer::Lost, _) => self.exchanges[index].valid = false,
            (Answer::Held(_) | Answer::Unknown(_), _) => self.exchanges[index].phase = Phase::Over,
            (Answer::Kept | Answer::Superseded | Answer::Done, _) => {
                let exchange = &mut self.exchanges[index];
                exchange.phase = Phase::Over;
                exchange.valid = false;
            }
            (Answer::Acquired { .. }, _) => {}
        }
    }

    /// Calls the handler.
    fn run(&mut self, setting: &Setting, index: usize, pending: Pending, fence: u8, attempt: u8) {
        let others = self.exchanges.iter().enumerate();
        let others = || others.clone().filter(|(other, _)| *other != index);
        let may_have_done = others().any(|(_, exchange)| exchange.may_have_done());
        let clock_is_true = setting.jumps == 0 && setting.losses == 0;
        let found = if self.recorded.is_some() && clock_is_true {
            Some(Found::RunAfterRecord)
        } else if !setting.retry && may_have_done && setting.losses == 0 {
            Some(Found::RefusedRunRepeated)
        } else if setting.losses == 0
            && others().any(|(_, other)| {
                other.run_is_under_way() && other.run.is_some_and(|run| run.fence == fence)
            })
        {
            Some(Found::FenceShared)
        } else if attempt == 1 && may_have_done && clock_is_true {
            Some(Found::AttemptHidden)
        } else if others().any(|(other, exchange)| {
            exchange.may_have_done()
                && self.request_of(setting, other) != self.request_of(setting, index)
        }) && setting.losses == 0
        {
            Some(Found::RequestsMixedUp)
        } else if self.exchanges[index].alone {
            Some(Found::RanForNobody)
        } else {
            None
        };
        let exchange = &mut self.exchanges[index];
        exchange.phase = Phase::Running;
        exchange.run = Some(Run { fence, ended: None });
        exchange.valid = !pending.late || !setting.keeps(Rule::LateClaimIsReleased);
        if let Some(found) = found {
            self.find(found);
        }
    }

    /// Looks for what holds in every state.
    fn look(&mut self, setting: &Setting) {
        let live = |exchange: &&Exchange| exchange.valid && exchange.run_is_under_way();
        if self.exchanges.iter().filter(live).count() > 1
            && setting.jumps == 0
            && setting.losses == 0
        {
            self.find(Found::TwoLiveOwners);
        }
        // An answer whose run keeps its lease is saved, or being saved.
        let forgotten = |exchange: &Exchange| {
            exchange.is_over()
                && exchange.valid
                && exchange.run.and_then(|run| run.ended) == Some(Ended::Final)
        };
        if self.exchanges.iter().any(forgotten) {
            self.find(Found::ResultForgotten);
        }
        // Once its lease has passed, a key answers whoever comes next.
        let mut later = self.slot;
        later.apply(Operation::Lapse, setting.without);
        let held = later.owner();
        let answer = later.apply(
            Operation::Claim {
                owner: Owner::MAX,
                request: self.request_of_slot(),
                retry: setting.retry,
            },
            setting.without,
        );
        let is_resolved = match answer {
            Answer::Acquired { .. } | Answer::Completed(_) => true,
            Answer::Unknown(_) => !setting.retry && held.is_some(),
            _ => false,
        };
        if !is_resolved {
            self.find(Found::Unresolved);
        }
    }

    fn request_of_slot(&self) -> u8 {
        match self.slot {
            Slot::InFlight { claim, .. } | Slot::Abandoned { claim } => claim.request,
            Slot::Absent | Slot::Completed { .. } => 0,
        }
    }

    fn request_of(&self, setting: &Setting, index: usize) -> u8 {
        self.exchanges[index].client * u8::from(setting.other_request)
    }

    fn find(&mut self, found: Found) {
        self.found.get_or_insert(found);
    }
}

fn owner(index: usize) -> Owner {
    Owner::try_from(index).expect("a handful of exchanges")
}
