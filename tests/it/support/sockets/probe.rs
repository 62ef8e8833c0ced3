use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

/// What happens to a request on its way through a test server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    ClaimBegins,
    ClaimEnds,
    HandlerBegins,
    HandlerEnds,
    /// The handler's future was dropped before its end.
    HandlerDropped,
    CompleteBegins,
    CompleteEnds,
    ReleaseBegins,
    Released,
    Abandoned,
    /// The server dropped the response's future: its client is gone.
    ClientGone,
}

/// Counts steps, runs by key and handlers at work, and lets a test wait for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probe(Arc<watch::Sender<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    steps: HashMap<Step, usize>,
    runs: HashMap<String, usize>,
    running: usize,
    most: usize,
}

/// A handler at work.
pub(crate) struct Running {
    probe: Probe,
    ended: bool,
}

impl Probe {
    pub(crate) fn note(&self, step: Step) {
        self.change(|seen| *seen.steps.entry(step).or_default() += 1);
    }

    pub(crate) fn count(&self, step: Step) -> usize {
        self.0.borrow().count(step)
    }

    /// Waits until a step was seen so many times.
    pub(crate) async fn until(&self, step: Step, times: usize) {
        let mut seen = self.0.subscribe();
        let reached = seen.wait_for(|seen| seen.count(step) >= times);
        let reached = timeout(PATIENCE, reached).await.is_ok();
        let seen = self.0.borrow();
        assert!(reached, "{step:?} was not seen {times} times: {seen:?}");
    }

    /// Notes that a handler begins; it is at work until it ends or what is returned is dropped.
    pub(crate) fn run(&self, key: &str) -> Running {
        self.change(|seen| {
            *seen.steps.entry(Step::HandlerBegins).or_default() += 1;
            *seen.runs.entry(key.to_owned()).or_default() += 1;
            seen.running += 1;
            seen.most = seen.most.max(seen.running);
        });
        Running {
            probe: self.clone(),
            ended: false,
        }
    }

    /// Returns how often the handler ran under a key.
    pub(crate) fn runs(&self, key: &str) -> usize {
        self.0.borrow().runs.get(key).copied().unwrap_or_default()
    }

    /// Returns how many handlers were at work at the same time, at most.
    pub(crate) fn most(&self) -> usize {
        self.0.borrow().most
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        self.0.send_modify(change);
    }
}

/// How long a test waits for what ought to happen: much longer than that takes anywhere.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Seen {
    fn count(&self, step: Step) -> usize {
        self.steps.get(&step).copied().unwrap_or_default()
    }
}

impl Running {
    pub(crate) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let step = if self.ended {
            Step::HandlerEnds
        } else {
            Step::HandlerDropped
        };
        self.probe.change(|seen| {
            seen.running -= 1;
            *seen.steps.entry(step).or_default() += 1;
        });
    }
}
