use crate::{
    point::Point,
    server::Answer,
    trial::{Policy, Trial, Victim},
};

/// What was seen of a trial.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) trial: Trial,
    pub(crate) transactional: bool,
    /// What the client was told whose request was cut off.
    pub(crate) first: Option<Answer>,
    pub(crate) retry: Answer,
    pub(crate) again: Answer,
    /// `start ATTEMPT` and `done`, for each run.
    pub(crate) ledger: Vec<String>,
    /// The rows in the database, where they are of the store's own transactions.
    pub(crate) effects: Option<i64>,
}

impl Seen {
    /// Says which promise is broken.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        let Trial {
            point,
            victim,
            policy,
        } = self.trial;
        let runs = self.runs();
        let carried_out = self.retry.status == 201;
        let refused = self.retry.status == 409 && self.retry.body.contains("outcome-unknown");
        let released = matches!(point, Point::BeforeRelease | Point::AfterRelease);

        if !carried_out && (self.transactional || policy == Policy::Retry || !refused) {
            return Some("the retry is not answered as promised");
        }
        if self.retry.body != self.again.body || carried_out && !self.again.replayed {
            return Some("2: a record is not what the next retry gets");
        }
        if let Some(first) = self.first.as_ref().filter(|first| first.status == 201)
            && (!self.retry.replayed || first.body != self.retry.body)
        {
            return Some("2: what the client was answered is not what its retry gets");
        }
        if point.is_recorded() && !(self.retry.replayed && runs.len() == 1) {
            return Some("2: the handler ran again after its answer was recorded");
        }
        if self.transactional {
            return (self.effects != Some(1)).then_some("7: not exactly one effect");
        }
        // Nothing was done under a claim that was released.
        let counting = runs.len() - usize::from(released && !runs.is_empty());
        if policy == Policy::Refuse && counting > 1 {
            return Some("4: a run whose outcome is unknown was repeated under Refuse");
        }
        if carried_out && counting == 0 {
            return Some("an answer without a run");
        }
        if counting > 1 && runs[1..].iter().any(|&attempt| attempt < 2) {
            return Some("4: a second run that is not told so");
        }
        // Its server lives, holds its lease, and its handler ended well.
        let abandoned = matches!(point, Point::BeforeAbandon | Point::AfterAbandon);
        if victim == Victim::Store && !abandoned && counting > 1 {
            return Some("1: two runs, though the first one's server kept its lease");
        }
        (runs.len() > 2).then_some("one kill made more than one run more")
    }

    /// Returns the number of each run's attempt.
    pub(crate) fn runs(&self) -> Vec<u32> {
        let starts = self
            .ledger
            .iter()
            .filter_map(|line| line.strip_prefix("start "));
        starts.filter_map(|attempt| attempt.parse().ok()).collect()
    }
}
