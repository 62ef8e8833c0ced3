//! What must hold, whatever is killed.

use std::{
    cmp::min,
    collections::{HashMap, HashSet},
};

use tower_idempotency::UnknownOutcome;

use super::{Evidence, Process, Run, Shown, Sighting, Violation, verdict::Verdict};

/// How long a process that lives may take to save an answer, in milliseconds.
const SAVING: u64 = 2000;

/// How long an answer may be on its way to a store that is there, in milliseconds.
const ON_ITS_WAY: u64 = 500;

/// How long a process that was stopped may take to begin what it was about to, in milliseconds.
const BEGINNING: u64 = 2000;

/// How long what was acknowledged may lack a second copy, in milliseconds.
const COPYING: u64 = 10_000;

impl Evidence {
    /// Holds what was seen against what is promised.
    pub(crate) fn judge(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let runs = self.runs_by_key();
        for runs in runs.values() {
            for (index, first) in runs.iter().enumerate() {
                for second in &runs[index + 1..] {
                    self.compare(first, second, &mut verdict);
                }
            }
        }
        self.look_at_answers(&runs, &mut verdict);
        verdict
    }

    /// Judges two runs of one key.
    fn compare(&self, first: &Run, second: &Run, verdict: &mut Verdict) {
        if self.was_forgotten(first, second.start) {
            verdict.lost += 1;
            return;
        }
        let both = |violation: fn(Run, Run) -> Violation| violation(first.clone(), second.clone());
        let late_comer = self.process(second);
        if late_comer.policy == UnknownOutcome::Refuse && !self.claims_die {
            verdict.violations.push(both(Violation::StartedTwice));
        } else if first.fence == second.fence
            && self.overlap(first, second)
            // A transaction that was cut off has no effect, whenever its handler begins, and
            // however long that goes on.
            && !(self.claims_die
                && (self.began_late(second)
                    || self.cut_off(first).is_some_and(|cut| cut <= second.start)))
        {
            verdict.violations.push(both(Violation::SharedFence));
        } else if second.fence < first.fence {
            if self.began_late(second) {
                verdict.late += 1;
            } else {
                verdict.violations.push(both(Violation::OutdatedFence));
            }
        } else if second.fence == first.fence && !self.claims_die {
            verdict.violations.push(both(Violation::OutdatedFence));
        } else {
            match self.cut_off(first) {
                Some(cut) if second.start >= self.alive_until(first, cut) => verdict.repeated += 1,
                _ if self.began_late(first) => verdict.late += 1,
                _ if self.claims_die && self.began_late(second) => verdict.late += 1,
                Some(_) => verdict.violations.push(both(Violation::LeaseAlive)),
                None => verdict.violations.push(both(Violation::RanAgain)),
            }
        }
    }

    /// Returns whether the store may have lost what it knew of a run before another moment.
    fn was_forgotten(&self, run: &Run, before: u64) -> bool {
        self.losses.iter().any(|loss| {
            let known_until = run.end.unwrap_or(loss.end) + COPYING;
            run.start <= loss.end && loss.start <= before && loss.start <= known_until
        })
    }

    /// Returns when a run's process was first kept from renewing its lease or saving its answer.
    fn cut_off(&self, run: &Run) -> Option<u64> {
        let harmed = self.process(run).harmed_from(run.start);
        let outages = self.waits().filter(|outage| outage.end > run.start);
        let kept_waiting = outages.clone().map(|outage| outage.start.max(run.start));
        let cut = harmed.into_iter().chain(kept_waiting).min()?;
        let Some(end) = run.end else {
            return Some(cut);
        };
        let during = outages.filter(|outage| outage.start <= end + SAVING);
        let saved_by = during
            .map(|outage| outage.end)
            .max()
            .unwrap_or(end)
            .max(end)
            + SAVING;
        // One that was kept waiting and not harmed saves its answer in the end, and keeps its
        // lease if it can.
        let unsaved = cut <= end + ON_ITS_WAY || harmed.is_some_and(|harmed| harmed <= saved_by);
        unsaved.then_some(cut)
    }

    /// Returns until when a lease surely lasted that was last renewed, or could be, at its cut. It
    /// is renewed every third of it.
    fn alive_until(&self, run: &Run, cut: u64) -> u64 {
        let lapses = cut + self.lease / 2;
        if !self.claims_die {
            return lapses;
        }
        if self.process(run).died.is_some() {
            return cut;
        }
        let outages = self.outages.iter().filter(|outage| outage.end > cut);
        let dies = outages.map(|outage| outage.start.max(cut)).min();
        dies.map_or(lapses, |dies| min(dies, lapses))
    }

    /// Returns whether two runs can have been at work at the same time.
    fn overlap(&self, first: &Run, second: &Run) -> bool {
        let end = first.end.or(self.process(first).died);
        end.is_none_or(|end| second.start < end)
    }

    /// Returns whether a run may have begun when its claim was over: whoever ran it, or the whole
    /// machine, had stood still, perhaps between the claim and the start. A claim that is a
    /// transaction is over only if the store went away meanwhile.
    fn began_late(&self, run: &Run) -> bool {
        let mut stops = self.process(run).stops.iter().chain(&self.stalls);
        stops.any(|stop| {
            let mut outages = self.outages.iter();
            stop.start <= run.start
                && stop.end + BEGINNING >= run.start
                && (!self.claims_die
                    || outages.any(|outage| outage.start <= run.start && outage.end >= stop.start))
        })
    }

    fn process(&self, run: &Run) -> &Process {
        &self.processes[run.process]
    }

    fn look_at_answers(&self, runs: &HashMap<&str, Vec<&Run>>, verdict: &mut Verdict) {
        let mut owners = HashMap::new();
        for key in &self.keys {
            let number = key.number;
            if key.unresolved > 0 {
                verdict.violations.push(Violation::Unresolved(number));
            }
            let odd = key.odd.iter().cloned();
            let odd = odd.map(|answer| Violation::Odd(number, answer));
            verdict.violations.extend(odd);
            for shown in &key.shown {
                let owner = *owners.entry(&shown.key).or_insert(number);
                if owner != number {
                    let foreign = Violation::Foreign(owner, number, shown.clone());
                    verdict.violations.push(foreign);
                }
                if !given(runs, shown) {
                    let invented = Violation::Invented(number, shown.clone());
                    verdict.violations.push(invented);
                }
            }
            if key.forgotten {
                self.look_for_record(key, runs, verdict);
            }
            self.look_for_two(key, runs, verdict);
        }
    }

    fn look_for_two(&self, key: &Sighting, runs: &HashMap<&str, Vec<&Run>>, verdict: &mut Verdict) {
        let mut distinct = HashSet::new();
        let answers: Vec<_> = key.shown.iter().filter(|it| distinct.insert(*it)).collect();
        let [first, others @ ..] = &answers[..] else {
            return;
        };
        for other in others {
            let (earlier, later) = if first.fence <= other.fence {
                (*first, *other)
            } else {
                (*other, *first)
            };
            let of = |shown: &Shown| {
                let runs = runs.get(shown.key.as_str()).into_iter().flatten().copied();
                let fence = shown.fence;
                runs.filter(move |run| run.fence == fence)
            };
            let lost =
                of(later).any(|two| of(earlier).any(|one| self.was_forgotten(one, two.start)));
            if lost {
                verdict.lost += 1;
            } else if of(earlier).any(|one| {
                self.may_be_unsaved(one) || of(later).any(|two| self.outlasted_by_outage(one, two))
            }) {
                verdict.unsaved += 1;
            } else {
                let two = Violation::TwoAnswers(key.number, earlier.clone(), later.clone());
                verdict.violations.push(two);
            }
        }
    }

    /// Returns whether an answer was given while the store was away, and the lease was over before
    /// it was back: another run may have been the first there.
    fn outlasted_by_outage(&self, one: &Run, two: &Run) -> bool {
        let Some(end) = one.end else {
            return false;
        };
        self.outages.iter().any(|outage| {
            let lapsed_by = outage.start.max(one.start) + self.lease / 2;
            outage.start <= end + SAVING
                && outage.end >= end
                && (lapsed_by..outage.end + SAVING).contains(&two.start)
        })
    }

    /// Judges a key whose outcome nobody knew any more.
    fn look_for_record(
        &self,
        key: &Sighting,
        runs: &HashMap<&str, Vec<&Run>>,
        verdict: &mut Verdict,
    ) {
        let answered = |run: &&Run| key.shown.iter().any(|shown| shown.fence == run.fence);
        let of_key = key
            .shown
            .first()
            .and_then(|shown| runs.get(shown.key.as_str()));
        let mut runs = of_key.into_iter().flatten().copied().filter(answered);
        if runs.clone().any(|run| self.was_forgotten(run, u64::MAX)) {
            verdict.lost += 1;
        } else if runs.any(|run| self.may_be_unsaved(run)) {
            verdict.unsaved += 1;
        } else {
            verdict.violations.push(Violation::Forgotten(key.number));
        }
    }

    /// Returns whether an answer was given while the store was away, by a process that did not
    /// live to save it.
    fn may_be_unsaved(&self, run: &Run) -> bool {
        let Some(end) = run.end else {
            return false;
        };
        self.waits().any(|outage| {
            let saved_by = outage.end.max(end) + SAVING;
            let harmed = self.process(run).harmed_from(min(outage.start, end));
            outage.start <= end + SAVING
                && outage.end >= end
                && harmed.is_some_and(|harmed| harmed <= saved_by)
        })
    }
}

fn given(runs: &HashMap<&str, Vec<&Run>>, shown: &Shown) -> bool {
    let runs = runs.get(shown.key.as_str());
    runs.is_some_and(|runs| {
        let mut runs = runs.iter();
        runs.any(|run| run.fence == shown.fence && run.end.is_some())
    })
}
