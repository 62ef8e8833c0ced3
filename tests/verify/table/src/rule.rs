/// A rule of the protocol that can be left out, to see what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A live lease keeps others out.
    LiveLeaseHolds,
    /// A claim passes its lease some day.
    LeaseEnds,
    /// A claim that is sent twice is acquired twice.
    ClaimAgain,
    /// A completion that is sent twice is kept twice.
    CompleteAgain,
    /// Who takes over gets a higher fence.
    TakeoverRaisesFence,
    /// Who takes over gets a higher attempt.
    TakeoverRaisesAttempt,
    /// Only the same request takes over.
    TakeoverComparesRequests,
    /// Under `Refuse` nobody takes over.
    RefuseRefuses,
    /// A record answers every claim.
    RecordAnswers,
    /// Only the owner renews.
    RenewChecksOwner,
    /// Only the owner completes.
    CompleteChecksOwner,
    /// Only the owner releases.
    ReleaseChecksOwner,
    /// Only the owner abandons.
    AbandonChecksOwner,
    /// Who abandoned cannot renew.
    AbandonedIsLost,
    /// A lapsed owner may come back to renew.
    LapsedRenews,
    /// A lapsed owner may come back to complete.
    LapsedCompletes,
    /// What was lost may be completed.
    LostCompletes,
    /// A release beyond the first fence leaves the fence behind.
    ReleaseKeepsFence,
    /// A record is compared with the request before it is replayed.
    ReplayComparesRequests,
    /// A claim acquired past its own lease is not run.
    LateClaimIsReleased,
    /// A claim whose answer was lost is not run.
    FailedClaimIsNotRun,
    /// A client that left before its handler started gets nothing done, and its claim is released.
    HangUpReleases,
    /// An owner counts its lease from before it asked.
    LeaseCountsFromAsking,
    /// A result is saved until the store has said so.
    SavingGoesOn,
    /// A run whose outcome is unknown is abandoned, never released.
    UnknownIsNotReleased,
}

impl Rule {
    pub const ALL: [Self; 25] = [
        Self::LiveLeaseHolds,
        Self::LeaseEnds,
        Self::ClaimAgain,
        Self::CompleteAgain,
        Self::TakeoverRaisesFence,
        Self::TakeoverRaisesAttempt,
        Self::TakeoverComparesRequests,
        Self::RefuseRefuses,
        Self::RecordAnswers,
        Self::RenewChecksOwner,
        Self::CompleteChecksOwner,
        Self::ReleaseChecksOwner,
        Self::AbandonChecksOwner,
        Self::AbandonedIsLost,
        Self::LapsedRenews,
        Self::LapsedCompletes,
        Self::LostCompletes,
        Self::ReleaseKeepsFence,
        Self::ReplayComparesRequests,
        Self::LateClaimIsReleased,
        Self::FailedClaimIsNotRun,
        Self::HangUpReleases,
        Self::LeaseCountsFromAsking,
        Self::SavingGoesOn,
        Self::UnknownIsNotReleased,
    ];
}
