//! The protocol keeps its promises, and each of its rules is there for one of them.

use model::{Found, Setting};
use stateright::{Checker, HasDiscoveries, Model};
use table::Rule;

/// Walks through a setting with one thread, so that the same is found every time.
fn found(setting: Setting) -> Option<Found> {
    let checker = setting
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let path = checker.discovery(Setting::KEPT)?;
    path.last_state().found
}

#[test]
fn the_protocol_keeps_its_promises() {
    for retry in [true, false] {
        assert_eq!(found(Setting::small(retry, true)), None);
    }
}

#[test]
fn an_answer_is_replayed() {
    let checker = Setting::small(true, false)
        .checker()
        .finish_when(HasDiscoveries::AllOf([Setting::REPLAYED].into()))
        .spawn_bfs()
        .join();
    assert!(checker.discovery(Setting::REPLAYED).is_some());
}

/// Returns the setting in which a rule is missed.
fn without(rule: Rule) -> Setting {
    let mut setting = Setting::small(true, false);
    match rule {
        Rule::RefuseRefuses | Rule::UnknownIsNotReleased => setting.retry = false,
        Rule::TakeoverComparesRequests | Rule::ReplayComparesRequests => {
            setting.other_request = true;
        }
        Rule::LostCompletes => setting.losses = 1,
        Rule::ReleaseKeepsFence => (setting.exchanges, setting.strays) = (3, 0),
        _ => {}
    }
    setting.without = Some(rule);
    setting
}

#[test]
fn every_rule_is_needed() {
    let useless: Vec<_> = Rule::ALL
        .into_iter()
        .filter(|rule| found(without(*rule)).is_none())
        .collect();
    assert!(useless.is_empty(), "not missed: {useless:?}");
}

#[test]
fn what_goes_wrong_without_a_rule_is_what_the_rule_is_for() {
    for (rule, expected) in [
        (Rule::LeaseEnds, Found::Unresolved),
        (Rule::ClaimAgain, Found::RefusedByItself),
        (Rule::CompleteAgain, Found::RefusedByItself),
        (Rule::TakeoverRaisesFence, Found::FenceShared),
        (Rule::TakeoverRaisesAttempt, Found::AttemptHidden),
        (Rule::TakeoverComparesRequests, Found::RequestsMixedUp),
        (Rule::RefuseRefuses, Found::RefusedRunRepeated),
        (Rule::RecordAnswers, Found::RunAfterRecord),
        (Rule::RenewChecksOwner, Found::LateOwnerChanged),
        (Rule::CompleteChecksOwner, Found::LateOwnerChanged),
        (Rule::ReleaseChecksOwner, Found::LateOwnerChanged),
        (Rule::AbandonChecksOwner, Found::LateOwnerChanged),
        (Rule::AbandonedIsLost, Found::LateOwnerChanged),
        (Rule::LapsedRenews, Found::RefusedByItself),
        (Rule::LapsedCompletes, Found::RefusedByItself),
        (Rule::LostCompletes, Found::RefusedByItself),
        (Rule::ReplayComparesRequests, Found::RequestsMixedUp),
        (Rule::HangUpReleases, Found::RanForNobody),
        (Rule::LeaseCountsFromAsking, Found::TwoLiveOwners),
        (Rule::SavingGoesOn, Found::ResultForgotten),
        (Rule::UnknownIsNotReleased, Found::RefusedRunRepeated),
    ] {
        assert_eq!(found(without(rule)), Some(expected), "{rule:?}");
    }
}
