use super::{Admin, List, Page, State};
use crate::store::StoreError;

/// How many keys are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Keys whose owner is at work.
    pub in_flight: u64,
    /// Keys whose lease has passed.
    pub lapsed: u64,
    /// Keys whose owner gave up.
    pub abandoned: u64,
    /// Keys with a record.
    pub completed: u64,
    /// Values that are not of the store's making.
    pub unreadable: u64,
}

impl Counts {
    /// Adds what is on a page.
    pub fn add(&mut self, page: &Page) {
        for entry in &page.entries {
            *self.of(entry.state) += 1;
        }
        self.unreadable += page.unreadable as u64;
    }

    /// Returns the counts as an object of JSON in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self {
            in_flight,
            lapsed,
            abandoned,
            completed,
            unreadable,
        } = self;
        format!(
            r#"{{"in_flight":{in_flight},"lapsed":{lapsed},"abandoned":{abandoned},"completed":{completed},"unreadable":{unreadable}}}"#
        )
    }

    fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::InFlight => &mut self.in_flight,
            State::Lapsed => &mut self.lapsed,
            State::Abandoned => &mut self.abandoned,
            State::Completed => &mut self.completed,
        }
    }
}

/// Counts what a store keeps, page by page: as long as a listing takes, and no memory.
///
/// While others go on, the numbers are of no one moment. Redis may show a key twice while its table
/// grows or shrinks.
///
/// # Errors
///
/// A [`StoreError`] of [`Admin::list`].
pub async fn count<A: Admin + ?Sized>(admin: &A) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let mut list = List::new().at_once(List::MAX_AT_ONCE);
    loop {
        let page = admin.list(&list).await?;
        counts.add(&page);
        match page.next {
            Some(next) => list = list.after(next),
            None => return Ok(counts),
        }
    }
}
