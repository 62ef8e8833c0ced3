use std::sync::Arc;

use async_trait::async_trait;

use super::{failure::Failure, row::Row, slot::AnySlot, tracked::Tracked};

/// One of the libraries that speak to PostgreSQL, and a pool of its connections.
#[async_trait]
pub(super) trait Driver: Send + Sync {
    /// Borrows a connection from the pool.
    async fn session(&self) -> Result<Box<dyn Session>, Failure>;

    /// Opens a connection that listens, beside the pool; none, where it is not known how.
    async fn listen(&self, channel: &str) -> Option<Result<Box<dyn Listener>, Failure>>;
}

/// A borrowed connection. Dropped, it is closed: only one that is known to be idle, outside of any
/// transaction, is given back.
#[async_trait]
pub(super) trait Session: Send {
    /// Has the statement ready that [`commit`](Self::commit) is to run, for drivers that could not
    /// prepare it any more there.
    async fn prepare(&mut self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Runs one statement by itself.
    async fn query(&mut self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure>;

    /// Runs statements by themselves, without preparing them: all of them, or none.
    async fn script(&mut self, script: &str) -> Result<(), Failure>;

    /// Begins a transaction with a script of two statements, and one more; returns the one row of
    /// the script's first, and the rows of the other.
    async fn begin(
        &mut self,
        script: &str,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<(Vec<Row>, Vec<Row>), Failure>;

    /// Runs one more statement, after a script where there is one, and commits. The server may do
    /// that after a failure, too: in a failed transaction `COMMIT` rolls back.
    async fn commit(
        &mut self,
        script: Option<&str>,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<(), Failure>;

    /// Rolls back.
    async fn roll_back(&mut self) -> Result<(), Failure>;

    /// Gives the connection back to its pool.
    fn give_back(self: Box<Self>);

    /// Puts the connection where a handler finds it.
    fn offer(self: Box<Self>, tracked: Tracked) -> Arc<dyn AnySlot>;
}

/// A connection that listens to one channel.
#[async_trait]
pub(super) trait Listener: Send {
    /// Returns the next message; none, once the connection is broken. May be dropped while it waits.
    async fn heard(&mut self) -> Option<String>;

    /// Runs statements.
    async fn script(&mut self, script: &str) -> Result<(), Failure>;
}

/// A parameter of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Param<'a> {
    Bytes(&'a [u8]),
    Int(i64),
    Bool(bool),
    Text(&'a str),
    ManyBytes(&'a [&'a [u8]]),
    Ints(&'a [i64]),
}
