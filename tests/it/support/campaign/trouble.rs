use async_trait::async_trait;

use crate::support::sockets::Dice;

/// Troubles the server of a store: each store's tests know how.
#[async_trait]
pub(crate) trait Troubles: Send {
    /// Does something to the server, and returns once it serves again.
    async fn strike(&mut self, dice: &mut Dice) -> Trouble;
}

/// What was done to a store's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Keys were moved between its servers, which were there all the time.
    Moved,
    /// It was away, and kept all that it had acknowledged.
    Away,
    /// It was lost, and with it what it alone had acknowledged.
    Lost,
}

/// Leaves the store alone.
#[derive(Debug)]
pub(crate) struct Calm;

#[async_trait]
impl Troubles for Calm {
    async fn strike(&mut self, _: &mut Dice) -> Trouble {
        Trouble::None
    }
}
