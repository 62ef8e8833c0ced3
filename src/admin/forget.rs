/// Whether [`Admin::forget`](super::Admin::forget) stops before an owner that is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Force {
    /// It stops: the key of a request that runs is not forgotten.
    #[default]
    No,
    /// It goes on: another request may then run beside that owner, with the same fence. What cannot
    /// be read is removed too.
    Yes,
}

/// What [`Admin::forget`](super::Admin::forget) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// Nothing is kept under the name any more.
    Forgotten,
    /// Nothing was kept under the name.
    Absent,
    /// An owner is at work; nothing was changed. In a database, that is also somebody whose
    /// transaction has the key locked, and force does not help.
    InFlight,
}
