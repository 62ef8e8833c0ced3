use super::{Cursor, Entry, Page, State};

/// Asks for one page of a listing.
///
/// ```
/// use tower_idempotency::admin::{List, State};
///
/// let list = List::new().state(State::Lapsed).at_once(1000);
/// ```
#[derive(Debug, Clone, Default)]
pub struct List {
    state: Option<State>,
    at_once: Option<usize>,
    after: Option<Cursor>,
}

impl List {
    /// The most keys that are looked at for one page.
    pub const MAX_AT_ONCE: usize = 1000;

    /// Asks for the first page of all that is kept.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists what is in one state. Default: in any.
    #[must_use]
    pub const fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Has about so many keys looked at for one page: from 1 to [`MAX_AT_ONCE`](Self::MAX_AT_ONCE);
    /// what is beyond is clamped. Default: 100.
    #[must_use]
    pub fn at_once(mut self, keys: usize) -> Self {
        self.at_once = Some(keys.clamp(1, Self::MAX_AT_ONCE));
        self
    }

    /// Asks for the page that begins at the [`next`](Page::next) of the one before.
    #[must_use]
    pub const fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Returns about how many keys are to be looked at.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.at_once.unwrap_or(100)
    }

    /// Returns where the page begins; `None` for the first.
    #[must_use]
    pub const fn begins_at(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Makes the page of what was looked at: a store need not know which states are asked for.
    #[must_use]
    pub fn page(
        &self,
        entries: impl IntoIterator<Item = Entry>,
        unreadable: usize,
        next: Option<Cursor>,
    ) -> Page {
        let is_asked_for = |entry: &Entry| self.state.is_none_or(|state| entry.state == state);
        Page {
            entries: entries.into_iter().filter(is_asked_for).collect(),
            unreadable,
            next,
        }
    }
}
