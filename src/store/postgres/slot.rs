use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

use super::{driver::Session, tracked::Tracked, unfinished::Unfinished};

/// Where a handler finds its transaction, and the store what the handler has left.
pub(super) struct Slot<C>(Mutex<State<C>>);

enum State<C> {
    /// Nobody has it.
    Here(Begun<C>),
    /// A handler has it.
    Taken,
    /// It is over.
    Over,
}

/// A connection within a transaction, that a handler may use.
pub(super) trait Lent<C>: Session + Sync {
    fn connection(&self) -> &C;

    #[cfg(feature = "sqlx")]
    fn connection_mut(&mut self) -> &mut C;

    fn into_session(self: Box<Self>) -> Box<dyn Session>;
}

/// A transaction that a handler may have, unfinished as long as this is there.
pub(super) struct Begun<C> {
    lent: Option<Box<dyn Lent<C>>>,
    tracked: Option<Tracked>,
}

/// How a handler's request carries the slot.
pub(super) struct Handle<C>(pub(super) Arc<Slot<C>>);

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Why a transaction is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Taken,
    Over,
}

/// A slot, whatever the driver.
pub(super) trait AnySlot: Send + Sync {
    /// Ends the slot, and takes what is in it: nobody gets the transaction after this.
    fn withdraw(&self) -> Result<Unfinished, Missing>;

    fn is_over(&self) -> bool;

    /// Makes the extensions that a handler's request gets.
    fn extensions(self: Arc<Self>) -> Extensions;
}

impl<C: Send + 'static> Slot<C> {
    pub(super) fn of<L: Lent<C> + 'static>(lent: Box<L>, tracked: Tracked) -> Arc<dyn AnySlot> {
        let begun = Begun {
            lent: Some(lent),
            tracked: Some(tracked),
        };
        Arc::new(Self(Mutex::new(State::Here(begun))))
    }
}

impl<C> Slot<C> {
    pub(super) fn take(&self) -> Result<Begun<C>, Missing> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Here(begun) => Ok(begun),
            State::Taken => Err(Missing::Taken),
            State::Over => {
                *state = State::Over;
                Err(Missing::Over)
            }
        }
    }

    /// Puts back what a handler took. What comes too late is rolled back.
    pub(super) fn put_back(&self, begun: Begun<C>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Taken) {
            *state = State::Here(begun);
        }
    }
}

impl<C: Send + 'static> AnySlot for Slot<C> {
    fn withdraw(&self) -> Result<Unfinished, Missing> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Over) {
            State::Here(begun) => begun.into_unfinished().ok_or(Missing::Over),
            State::Taken => Err(Missing::Taken),
            State::Over => Err(Missing::Over),
        }
    }

    fn is_over(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Over)
    }

    fn extensions(self: Arc<Self>) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(Handle(self));
        extensions
    }
}

impl<C> Begun<C> {
    pub(super) fn connection(&self) -> &C {
        self.lent.as_ref().expect(WHOLE).connection()
    }

    #[cfg(feature = "sqlx")]
    pub(super) fn connection_mut(&mut self) -> &mut C {
        self.lent.as_mut().expect(WHOLE).connection_mut()
    }

    fn into_unfinished(mut self) -> Option<Unfinished> {
        let (lent, tracked) = (self.lent.take()?, self.tracked.take()?);
        Some(Unfinished::new(lent.into_session(), tracked))
    }
}

const WHOLE: &str = "a transaction is taken apart only at its end";

impl<C> Drop for Begun<C> {
    fn drop(&mut self) {
        if let (Some(lent), Some(tracked)) = (self.lent.take(), self.tracked.take()) {
            drop(Unfinished::new(lent.into_session(), tracked));
        }
    }
}
