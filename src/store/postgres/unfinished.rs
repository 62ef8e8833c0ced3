use std::sync::Arc;

use super::{driver::Session, slot::AnySlot, tracked::Tracked};
use crate::runtime::{self, Handle};

/// A transaction on its way. Dropped before its end, it is rolled back, and its connection closed.
pub(super) struct Unfinished(Option<(Box<dyn Session>, Tracked)>);

impl Unfinished {
    pub(super) fn new(session: Box<dyn Session>, tracked: Tracked) -> Self {
        Self(Some((session, tracked)))
    }

    pub(super) fn session(&mut self) -> &mut dyn Session {
        let (session, _) = self.0.as_mut().expect(WHOLE);
        &mut **session
    }

    /// Puts the transaction where a handler finds it.
    pub(super) fn offer(mut self) -> Arc<dyn AnySlot> {
        let (session, tracked) = self.0.take().expect(WHOLE);
        session.offer(tracked)
    }

    /// Gives the connection back: the transaction has ended.
    pub(super) fn finish(mut self) {
        let (session, tracked) = self.0.take().expect(WHOLE);
        session.give_back();
        drop(tracked);
    }
}

const WHOLE: &str = "a transaction is taken apart only at its end";

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (Some((mut session, tracked)), Ok(runtime)) = (self.0.take(), Handle::try_current())
        else {
            return;
        };
        runtime::spawn(&runtime, async move {
            // Only so that the key is free the sooner: a server sees that a connection is closed
            // when it next looks.
            let _ = runtime::timeout(tracked.deadline(), session.roll_back()).await;
            drop(session);
            drop(tracked);
        });
    }
}
