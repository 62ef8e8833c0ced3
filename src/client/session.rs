use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::{
    Failure, RetryEvent, RetryInfo, Stop,
    budget::Account,
    delays::Delays,
    outcome::{Conflicts, Outcome},
    settings::{Decision, Progress, Settings},
};

/// What one call has gone through.
pub(super) struct Session {
    /// Read at the start only where a deadline is set, otherwise when the first attempt fails: a
    /// call that succeeds at once reads no clock.
    started: Option<Instant>,
    is_idempotent: bool,
    is_keyed: bool,
    is_repeatable: bool,
    attempts: u32,
    counted: u32,
    /// Ambiguous once the server may have begun on one of the attempts.
    so_far: Failure,
    /// When the first 409 came, and how many came.
    waiting: Option<(Instant, u32)>,
    slept: Duration,
    /// Boxed, as most calls never need it and the session is moved with every one.
    delays: Option<Box<Delays>>,
}

/// What a session makes of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Retry(Duration),
    End(RetryInfo),
}

impl Session {
    #[inline]
    pub(super) fn idle() -> Self {
        Self {
            started: None,
            is_idempotent: false,
            is_keyed: false,
            is_repeatable: true,
            attempts: 0,
            counted: 0,
            so_far: Failure::NotProcessed,
            waiting: None,
            slept: Duration::ZERO,
            delays: None,
        }
    }

    #[inline]
    pub(super) fn begin(settings: &Settings, method: &Method, headers: &HeaderMap) -> Self {
        Self {
            started: settings.deadline.map(|_| Instant::now()),
            is_idempotent: method.is_idempotent(),
            is_keyed: settings.has_key(headers),
            ..Self::idle()
        }
    }

    /// Tells that nothing was kept to be sent again.
    pub(super) fn mark_spent(&mut self) {
        self.is_repeatable = false;
    }

    /// A session as it was when the call began: `tower` clones the policy at that point.
    #[inline]
    pub(super) fn at_start(&self) -> Self {
        Self {
            started: self.started,
            is_idempotent: self.is_idempotent,
            is_keyed: self.is_keyed,
            ..Self::idle()
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        self.attempts > 0
    }

    pub(super) fn conflicts(&self, settings: &Settings) -> Conflicts {
        match (self.is_keyed, settings.any_conflict) {
            (false, _) => Conflicts::None,
            (true, false) => Conflicts::WithRetryAfter,
            (true, true) => Conflicts::All,
        }
    }

    /// Takes in what came of an attempt, and says whether there is another.
    pub(super) fn next(&mut self, settings: &Settings, outcome: &Outcome<'_>) -> Next {
        self.attempts += 1;
        let counts = outcome.failure != Some(Failure::UnderWay);
        self.counted += u32::from(counts);
        let decision = match outcome.failure {
            Some(failure) => {
                if matches!(failure, Failure::Ambiguous | Failure::UnderWay) {
                    self.so_far = Failure::Ambiguous;
                }
                let progress = self.progress(counts);
                settings.decide(outcome, progress, || self.pause(settings, counts))
            }
            None => Decision::Stop(Stop::Answered),
        };
        match decision {
            Decision::Retry(_) if counts && !may_spend(settings) => self.end(Stop::Budget),
            Decision::Retry(delay) => {
                self.slept = self.slept.saturating_add(delay);
                self.tell(settings, outcome, delay);
                Next::Retry(delay)
            }
            Decision::Stop(stop) => {
                if outcome.is_good() {
                    earn(settings);
                }
                self.end(stop)
            }
        }
    }

    /// Waiting for a call under way uses up no step of the backoff, as it uses up no attempt.
    fn pause(&mut self, settings: &Settings, counts: bool) -> Option<Duration> {
        let delays = self
            .delays
            .get_or_insert_with(|| Box::new(settings.delays()));
        if counts {
            delays.advance()
        } else {
            Some(delays.linger())
        }
    }

    fn progress(&mut self, counts: bool) -> Progress {
        let now = Instant::now();
        if !counts {
            let (since, waits) = self.waiting.unwrap_or((now, 0));
            self.waiting = Some((since, waits + 1));
        }
        let (waiting_since, waits) = self.waiting.unwrap_or((now, 0));
        Progress {
            counted: self.counted,
            elapsed: now - *self.started.get_or_insert(now),
            waits,
            waited: now - waiting_since,
            is_safe: self.is_idempotent || self.is_keyed,
            is_repeatable: self.is_repeatable,
        }
    }

    /// What is known of the call as a whole if `last` is known of its last attempt.
    pub(super) fn overall(&self, last: Failure) -> Failure {
        match last {
            Failure::NotProcessed => self.so_far,
            _ => last,
        }
    }

    pub(super) fn end(&self, stop: Stop) -> Next {
        Next::End(RetryInfo {
            attempts: self.attempts,
            slept: self.slept,
            stop,
            in_doubt: self.so_far == Failure::Ambiguous,
        })
    }

    fn tell(&self, settings: &Settings, outcome: &Outcome<'_>, delay: Duration) {
        let Some(failure) = outcome.failure else {
            return;
        };
        // Without the cause, since the text of an error may hold the whole URL.
        #[cfg(feature = "tracing")]
        tracing::debug!(
            attempt = self.attempts,
            ?failure,
            ?delay,
            "an attempt failed and is made again"
        );
        if let Some(on_retry) = &settings.on_retry {
            on_retry(&RetryEvent {
                attempt: self.attempts,
                delay,
                failure,
                cause: outcome.cause,
            });
        }
    }
}

fn may_spend(settings: &Settings) -> bool {
    settings.budget.as_ref().is_none_or(Account::withdraw)
}

fn earn(settings: &Settings) {
    if let Some(budget) = &settings.budget {
        budget.deposit();
    }
}
