/// A promise that is seen broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// Two owners keep their lease at the same time.
    TwoLiveOwners,
    /// A run began after a record.
    RunAfterRecord,
    /// Something else was replayed, or recorded, than the first record.
    AnotherRecord,
    /// Under `Refuse`, a run began after one whose outcome is recorded or unknown.
    RefusedRunRepeated,
    /// Two runs that overlap have one fence.
    FenceShared,
    /// A run after one with an unknown outcome looks like the first.
    AttemptHidden,
    /// A request got what another had done.
    RequestsMixedUp,
    /// An owner who is late, or gave up, changed what another has.
    LateOwnerChanged,
    /// An owner was told that somebody else has the key, and nobody else ever had.
    RefusedByItself,
    /// A key that nobody works on is not free, and no record either.
    Unresolved,
    /// A run ended with its answer, its lease was kept, and no record was made.
    ResultForgotten,
    /// A client left before its handler started, and the handler ran all the same.
    RanForNobody,
}
