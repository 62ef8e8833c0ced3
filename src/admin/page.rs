use super::{Cursor, Entry};

/// A part of what a store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// What is kept, and in the state that was asked for. Some of it may be on another page too.
    pub entries: Vec<Entry>,
    /// How many values were passed over that are under this store's keys, and not of its making.
    pub unreadable: usize,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}
