//! The conformance suite finds what is wrong with stores that are wrong on purpose.

mod faulty;

use tower_idempotency::testing::{Capabilities, Violations, conformance};

use self::faulty::{Fault, Faulty};

async fn verdict(fault: Fault) -> Result<(), Violations> {
    let store = Faulty::new(fault);
    conformance(|| async { store.client() }, Capabilities::durable()).await
}

/// Says which rule each broken store must be seen to break.
macro_rules! broken {
    ($($name:ident: $fault:ident breaks $rule:literal,)*) => { $(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let violations = verdict(Fault::$fault).await.expect_err("the suite saw nothing");
            let is_named = violations.iter().any(|violation| violation.rule().starts_with($rule));
            assert!(is_named, "the suite saw something else: {violations}");
        }
    )* };
}

#[tokio::test(start_paused = true)]
async fn the_same_store_without_a_fault_passes() {
    verdict(Fault::Nothing).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_sent_again_may_renew() {
    verdict(Fault::ResendRenews).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_is_tried_with_longer_leases() {
    verdict(Fault::RenewIsSlow).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn other_clients_may_be_left_asleep_by_a_store_that_says_so() {
    let store = Faulty::new(Fault::WakesItsOwnClientOnly);
    let capabilities = Capabilities::durable().without_wake_ups_across_clients();
    conformance(|| async { store.client() }, capabilities)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_store_answered_is_told_with_its_cause() {
    let violations = verdict(Fault::LosersFail).await.unwrap_err();
    let race = violations
        .iter()
        .find(|violation| violation.rule().starts_with("of 200 claims at once"))
        .unwrap();
    assert_eq!(race.expected(), "1 acquired under fence 1, 199 held");
    let seen = race.seen();
    assert!(
        seen.starts_with("1 acquired, 0 held, and error: ") && seen.ends_with("too many"),
        "{seen}"
    );
    let violations = verdict(Fault::RenewByAnyone).await.unwrap_err();
    let renewal = violations
        .iter()
        .find(|violation| {
            violation.rule() == "renew, found in flight by another owner, live, fence 1"
        })
        .unwrap();
    assert_eq!((renewal.expected(), renewal.seen()), ("Lost", "Renewed"));
}

broken! {
    a_racy_claim: RacyClaim breaks "of 200 claims at once, one is acquired",
    a_claim_that_is_racy_on_threads: RacyOnThreads breaks "of claims from many threads at once",
    a_racy_takeover: RacyTakeover breaks "of 200 that would take over at once",
    losers_that_fail: LosersFail breaks "of 200 claims at once, one is acquired",
    a_resend_that_gets_a_new_fence: ResendGetsNewFence
        breaks "claim (same fingerprint, Retry), found in flight by the same owner, live",
    a_resend_that_gets_a_new_fence_later: ResendGetsNewFence
        breaks "renew, found in flight by the same owner, live",
    a_resend_after_abandon_that_keeps_the_fence: ResendAfterAbandonKeepsFence
        breaks "claim (same fingerprint, Retry), found abandoned",
    another_fingerprint_that_takes_over: MismatchTakesOver
        breaks "claim (another fingerprint, Retry), found in flight by another owner, lapsed",
    refuse_that_takes_over: RefuseTakesOver
        breaks "claim (same fingerprint, Refuse), found in flight by another owner, lapsed",
    a_takeover_that_keeps_the_fence: TakeoverKeepsFence
        breaks "every taking over raises fence and attempt",
    a_takeover_that_keeps_the_fence_of_what_was_abandoned: TakeoverKeepsFence
        breaks "abandon, found in flight by the same owner, live, fence 1",
    a_takeover_that_keeps_the_attempt: TakeoverKeepsAttempt
        breaks "every taking over raises fence and attempt",
    a_takeover_that_keeps_the_deadline: TakeoverKeepsDeadline
        breaks "claim (same fingerprint, Retry), found in flight by another owner, lapsed",
    a_record_that_is_run_again: CompletedIsRunAgain
        breaks "claim (same fingerprint, Retry), found completed",
    held_with_a_wrong_fingerprint: HeldTellsWrongFingerprint
        breaks "renew, found in flight by another owner, live",
    held_for_the_ttl: HeldTellsTtl breaks "a held claim tells the time that is left",
    held_for_the_ttl_by_another: HeldTellsTtl
        breaks "renew, found in flight by another owner, live",
    unknown_with_a_wrong_fingerprint: UnknownTellsWrongFingerprint
        breaks "abandon, found in flight by the same owner, live",
    a_claim_that_waits: ClaimWaits breaks "every operation ends within a deadline",
    a_claim_that_panics: ClaimPanics breaks "no operation panics",
    a_claim_from_a_cache: ClaimIsCached breaks "a claim never answers from a replica or a cache",
    renewal_by_anyone: RenewByAnyone breaks "renew, found in flight by another owner, live",
    renewal_after_abandon: RenewAfterAbandon breaks "renew, found abandoned",
    renewal_after_completion: RenewAfterCompletion
        breaks "renew, found completed by the same owner",
    renewal_that_fails_once_lapsed: RenewFailsOnceLapsed
        breaks "renew, found in flight by the same owner, lapsed",
    renewal_that_forgets_the_deadline: RenewForgetsDeadline breaks "renewal moves the deadline",
    renewal_that_forgets_the_expiry: RenewForgetsExpiry breaks "renewal moves the expiry",
    renewal_that_is_too_slow_to_be_judged: RenewIsTooSlow breaks "answers come in time",
    a_completion_that_refuses_an_absent_key: CompleteRefusesAbsent breaks "complete, found absent",
    a_completion_that_refuses_a_lapsed_claim: CompleteRefusesLapsed
        breaks "complete, found in flight by the same owner, lapsed",
    a_completion_that_overwrites_a_successor: CompleteOverwritesSuccessor
        breaks "complete, found in flight by another owner, live",
    a_completion_that_overwrites_a_record: CompleteOverwritesRecord
        breaks "complete, found completed by another owner",
    a_completion_after_abandon: CompleteAfterAbandon breaks "complete, found abandoned",
    a_completion_whose_resend_is_superseded: CompleteResendIsSuperseded
        breaks "complete, sent twice, found absent",
    a_completion_whose_resend_overwrites: CompleteResendOverwrites
        breaks "renew, found completed by the same owner",
    a_completion_in_two_steps: CompleteIsTorn
        breaks "a completion whose future was dropped was done or not",
    a_completion_in_two_steps_of_some_time: CompleteIsTornLater
        breaks "a completion whose future was dropped was done or not",
    release_by_anyone: ReleaseByAnyone breaks "release, found in flight by another owner, live",
    release_that_forgets_the_fence: ReleaseForgetsFence
        breaks "release, found in flight by the same owner, live, fence 2",
    release_that_raises_the_fence: ReleaseRaisesFence
        breaks "release, found in flight by the same owner, live, fence 1",
    release_that_forgets_the_record: ReleaseForgetsRecord
        breaks "release, found completed by the same owner",
    release_that_fails_once_lapsed: ReleaseFailsOnceLapsed
        breaks "release, found in flight by the same owner, lapsed",
    abandon_by_anyone: AbandonByAnyone breaks "abandon, found in flight by another owner, live",
    abandon_that_frees: AbandonFrees breaks "abandon, found in flight by the same owner, live",
    abandon_that_frees_before_the_next: AbandonFrees
        breaks "every taking over raises fence and attempt",
    abandon_that_does_nothing: AbandonDoesNothing
        breaks "abandon, found in flight by the same owner, live",
    abandon_that_frees_when_sent_again: AbandonTwiceFrees
        breaks "abandon, sent twice, found in flight by the same owner, live",
    a_lease_on_another_clock: LeaseOnWrongClock breaks "a claim is held until its lease has passed",
    a_lease_in_whole_seconds: LeaseInSeconds breaks "a claim is held until its lease has passed",
    a_lease_that_is_forgotten: LeaseForgotten breaks "a claim is held until its lease has passed",
    a_lease_too_long: LeaseTooLong breaks "a claim is held until its lease has passed",
    a_lease_too_long_to_be_taken_over: LeaseTooLong
        breaks "claim (same fingerprint, Retry), found in flight by another owner, lapsed",
    a_renewal_too_long: LeaseTooLong breaks "renewal moves the deadline",
    a_long_lease_that_is_forgotten: LongLeaseForgotten breaks "a lease or ttl may be zero",
    a_record_kept_too_long: TtlTooLong breaks "a record is kept for its ttl",
    a_claim_kept_too_long: TtlTooLong breaks "a lapsed claim stays for its ttl",
    an_abandoned_claim_kept_too_long: TtlTooLong breaks "an abandoned claim stays for its ttl",
    a_record_that_never_expires: RecordNeverExpires breaks "a record is kept for its ttl",
    a_claim_that_never_expires: ClaimNeverExpires breaks "a lapsed claim stays for its ttl",
    an_abandoned_claim_that_expires_at_once: AbandonedExpiresAtOnce
        breaks "an abandoned claim stays for its ttl",
    a_ttl_that_counts_from_the_claim: TtlCountsFromClaim breaks "the ttl of a record counts from",
    a_short_ttl_that_is_forever: ShortTtlIsForever breaks "a lease or ttl may be zero",
    a_record_cut_short: RecordTruncated breaks "a record is opaque bytes",
    a_record_taken_for_text: RecordIsText breaks "a record is opaque bytes",
    names_that_are_mixed_up: NamesMixedUp breaks "an operation on one name changes no other",
    completion_that_wakes_nobody: CompletionWakesNobody breaks "complete wakes who waits",
    release_that_wakes_nobody: ReleaseWakesNobody breaks "release wakes who waits",
    abandon_that_wakes_nobody: AbandonWakesNobody breaks "abandon wakes who waits",
    waking_one_only: WakesOneOnly breaks "every one of a hundred that wait is woken",
    a_waiter_that_leaves_and_takes_others_with_it: GoneWaiterSilences
        breaks "every one of a hundred that wait is woken",
    waking_once_only: WakesOnceOnly breaks "who registers again after each change is woken",
    registering_at_the_first_poll: RegistersAtFirstPoll
        breaks "complete wakes who waits, counted from the call",
    waking_its_own_client_only: WakesItsOwnClientOnly
        breaks "complete wakes who waits at another client",
}
