use std::time::Instant;

use tokio::sync::oneshot;

use super::{failure::Failure, table::Table};

/// An operation that waits for the writer, and then for its commit. It may be run again where the
/// transaction that it was part of was rolled back.
pub(super) trait Task: Send {
    /// Says whether nobody waits for it any more.
    fn is_over(&self) -> bool;

    /// When it is given up.
    fn until(&self) -> Instant;

    fn run(&mut self, table: Table<'_>);

    /// Tells whoever waits, once the transaction has ended.
    fn settle(self: Box<Self>, committed: Result<(), Failure>);
}

/// A task, made of a function.
pub(super) struct Pending<F, T> {
    work: F,
    until: Instant,
    /// What it came to, once it was run.
    outcome: Option<Result<T, Failure>>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<F, T> Pending<F, T>
where
    F: Fn(Table<'_>) -> Result<T, Failure>,
{
    pub(super) fn new(work: F, until: Instant) -> (Self, oneshot::Receiver<Result<T, Failure>>) {
        let (reply, answer) = oneshot::channel();
        let task = Self {
            work,
            until,
            outcome: None,
            reply,
        };
        (task, answer)
    }
}

impl<F, T> Task for Pending<F, T>
where
    F: Fn(Table<'_>) -> Result<T, Failure> + Send,
    T: Send,
{
    fn is_over(&self) -> bool {
        self.reply.is_closed() || Instant::now() >= self.until
    }

    fn until(&self) -> Instant {
        self.until
    }

    fn run(&mut self, table: Table<'_>) {
        self.outcome = Some((self.work)(table));
    }

    fn settle(self: Box<Self>, committed: Result<(), Failure>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(done)), Ok(())) => Ok(done),
            // It may have been what the transaction was rolled back for.
            (Some(Err(own)), _) => Err(own),
            (_, Err(failure)) => Err(failure),
            (None, Ok(())) => Err(Failure::Late),
        };
        // Whoever is gone is not told.
        let _ = self.reply.send(outcome);
    }
}
