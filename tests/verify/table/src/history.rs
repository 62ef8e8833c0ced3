use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::{Answer, Operation, Slot};

/// What was asked of one key, and what was answered, by many at once.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
    /// Leases may pass at any moment of it.
    pub lapses: bool,
}

/// One operation, with the moments when it was called and when it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub operation: Operation,
    pub called: u64,
    /// None where no answer came: it was applied at any moment after the call, or never.
    pub answered: Option<(u64, Answer)>,
}

impl History {
    /// Says whether there is an order of the operations, each at one moment between its call and
    /// its answer, in which the table answers all of them as they were answered.
    pub fn is_explained(&self) -> bool {
        let mut moments: Vec<_> = self
            .events
            .iter()
            .enumerate()
            .flat_map(|(index, event)| {
                let answered = event.answered;
                let answer = answered.map(|(moment, answer)| (moment, index, Some(answer)));
                [Some((event.called, index, None)), answer]
            })
            .flatten()
            .collect();
        moments.sort_by_key(|(moment, ..)| *moment);
        // Each operation has a thread of its own: what the tester wants of threads is told by the
        // moments alone. A thread that is free again is taken again, to keep the tester fast.
        let mut threads = vec![usize::MAX; self.events.len()];
        let mut free: Vec<usize> = Vec::new();
        let mut next_thread = 0;
        let spec = Spec {
            slot: Slot::Absent,
            lapses: self.lapses,
        };
        let mut tester = LinearizabilityTester::new(spec);
        for (_, index, answer) in moments {
            let well_formed = if let Some(answer) = answer {
                free.push(threads[index]);
                tester.on_return(threads[index], answer).is_ok()
            } else {
                threads[index] = free.pop().unwrap_or_else(|| {
                    next_thread += 1;
                    next_thread
                });
                tester
                    .on_invoke(threads[index], self.events[index].operation)
                    .is_ok()
            };
            assert!(
                well_formed,
                "every operation is called before it is answered"
            );
        }
        tester.is_consistent()
    }

    /// Returns the least of an unexplained history that is still unexplained.
    ///
    /// Only what an explained history can do without is taken away: its end, what was never
    /// answered, and answers under which nothing changes.
    #[must_use]
    pub fn shrunk(mut self) -> Self {
        let mut ends: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| Some(event.answered?.0))
            .collect();
        ends.sort_unstable();
        let shortest = ends
            .into_iter()
            .map(|end| self.until(end))
            .find(|history| !history.is_explained());
        if let Some(shortest) = shortest {
            self = shortest;
        }
        let mut index = 0;
        while index < self.events.len() {
            let mut less = self.clone();
            let event = less.events.remove(index);
            if event.may_be_left_out() && !less.is_explained() {
                self = less;
            } else {
                index += 1;
            }
        }
        self
    }

    /// Returns what had happened at a moment.
    fn until(&self, end: u64) -> Self {
        let began = self.events.iter().filter(|event| event.called < end);
        let events = began.map(|event| Event {
            answered: event.answered.filter(|(moment, _)| *moment <= end),
            ..*event
        });
        Self {
            events: events.collect(),
            lapses: self.lapses,
        }
    }
}

impl Event {
    const fn may_be_left_out(&self) -> bool {
        matches!(
            self.answered,
            None | Some((
                _,
                Answer::Held(_)
                    | Answer::Unknown(_)
                    | Answer::Completed(_)
                    | Answer::Lost
                    | Answer::Superseded
            ))
        )
    }
}

/// The table, as the tester wants it.
#[derive(Clone, Debug)]
struct Spec {
    slot: Slot,
    lapses: bool,
}

impl SequentialSpec for Spec {
    type Op = Operation;
    type Ret = Answer;

    fn invoke(&mut self, operation: &Operation) -> Answer {
        self.slot.apply(*operation, None)
    }

    fn is_valid_step(&mut self, operation: &Operation, answer: &Answer) -> bool {
        let before = self.slot;
        if self.invoke(operation) == *answer {
            return true;
        }
        // The lease may have passed just before.
        self.slot = before;
        if self.lapses {
            self.slot.apply(Operation::Lapse, None);
        }
        self.lapses && self.invoke(operation) == *answer
    }
}
