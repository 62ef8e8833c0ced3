//! Stores that are wrong on purpose are seen to be wrong, and the same store without a fault is not.

#[path = "../../../it/broken_stores/faulty.rs"]
#[allow(
    dead_code,
    reason = "what time and waking do wrong shows in no history"
)]
mod faulty;

use std::sync::Arc;

use histories::{Round, check};
use table::History;
use tower_idempotency::Store;

use self::faulty::{Fault, Faulty};

async fn found(fault: Fault, round: Round) -> Option<History> {
    found_in(fault, round, 4000).await
}

async fn found_in(fault: Fault, round: Round, rounds: u64) -> Option<History> {
    let store = Faulty::new(fault);
    let clients: Vec<_> = (0..4)
        .map(|_| Arc::new(store.client()) as Arc<dyn Store>)
        .collect();
    for seed in 0..rounds {
        if let Err(history) = check(&clients, round, seed).await {
            return Some(history);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_without_a_fault_is_explained() {
    for lapses in [false, true] {
        let round = Round {
            lapses,
            ..Round::PLAIN
        };
        assert!(found_in(Fault::Nothing, round, 300).await.is_none());
    }
}

/// Says which broken stores must be found.
macro_rules! broken {
    ($($name:ident: $fault:ident,)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            let history = found(Fault::$fault, Round::PLAIN).await.expect("nothing was found");
            assert!(!history.is_explained());
            assert!(history.events.len() <= 12, "not shrunk: {history:?}");
        }
    )* };
}

broken! {
    a_racy_claim: RacyClaim,
    a_claim_that_is_racy_on_threads: RacyOnThreads,
    a_racy_takeover: RacyTakeover,
    a_resend_that_gets_a_new_fence: ResendGetsNewFence,
    a_resend_after_abandon_that_keeps_the_fence: ResendAfterAbandonKeepsFence,
    another_fingerprint_that_takes_over: MismatchTakesOver,
    refuse_that_takes_over: RefuseTakesOver,
    a_takeover_that_keeps_the_fence: TakeoverKeepsFence,
    a_takeover_that_keeps_the_attempt: TakeoverKeepsAttempt,
    a_record_that_is_run_again: CompletedIsRunAgain,
    held_with_a_wrong_fingerprint: HeldTellsWrongFingerprint,
    renewal_by_anyone: RenewByAnyone,
    renewal_after_abandon: RenewAfterAbandon,
    renewal_after_completion: RenewAfterCompletion,
    a_completion_that_refuses_an_absent_key: CompleteRefusesAbsent,
    a_completion_that_overwrites_a_successor: CompleteOverwritesSuccessor,
    a_completion_that_overwrites_a_record: CompleteOverwritesRecord,
    a_completion_after_abandon: CompleteAfterAbandon,
    a_completion_whose_resend_is_superseded: CompleteResendIsSuperseded,
    a_completion_in_two_steps: CompleteIsTorn,
    release_by_anyone: ReleaseByAnyone,
    release_that_forgets_the_fence: ReleaseForgetsFence,
    release_that_forgets_the_record: ReleaseForgetsRecord,
    abandon_by_anyone: AbandonByAnyone,
    abandon_that_frees: AbandonFrees,
    abandon_that_does_nothing: AbandonDoesNothing,
    a_lease_that_is_forgotten: LeaseForgotten,
    a_record_taken_for_text: RecordIsText,
    names_that_are_mixed_up: NamesMixedUp,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lapsed_owners_that_cannot_come_back() {
    let round = Round {
        lapses: true,
        ..Round::PLAIN
    };
    for fault in [
        Fault::RenewFailsOnceLapsed,
        Fault::CompleteRefusesLapsed,
        Fault::ReleaseFailsOnceLapsed,
    ] {
        assert!(found(fault, round).await.is_some(), "{fault:?}");
    }
}
