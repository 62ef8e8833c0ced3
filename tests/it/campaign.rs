//! The oracle of the campaigns finds what it looks for.

use tower_idempotency::UnknownOutcome;

use crate::support::campaign::{Evidence, Process, Run, Shown, Sighting, Violation};

const LEASE: u64 = 1000;

/// Two processes that live, and a third under `Refuse`.
fn evidence(runs: &[Run]) -> Evidence {
    let policies = [
        UnknownOutcome::Retry,
        UnknownOutcome::Retry,
        UnknownOutcome::Refuse,
    ];
    Evidence {
        lease: LEASE,
        processes: policies.map(Process::new).into(),
        runs: runs.to_vec(),
        ..Evidence::default()
    }
}

fn run(process: usize, fence: u64, start: u64, end: impl Into<Option<u64>>) -> Run {
    Run {
        process,
        key: "a".to_owned(),
        fence,
        start,
        end: end.into(),
    }
}

fn shown(key: &str, fence: u64) -> Shown {
    Shown {
        key: key.to_owned(),
        fence,
    }
}

fn saw(number: usize, answers: &[Shown]) -> Sighting {
    Sighting {
        number,
        shown: answers.to_vec(),
        ..Sighting::default()
    }
}

#[track_caller]
fn found(evidence: &Evidence) -> Violation {
    let verdict = evidence.judge();
    let [violation] = &verdict.violations[..] else {
        panic!("{verdict:?}");
    };
    violation.clone()
}

#[track_caller]
fn nothing_found(evidence: &Evidence) {
    let verdict = evidence.judge();
    assert_eq!(verdict.violations, [], "{verdict:?}");
}

#[test]
fn a_key_that_runs_once_and_answers_all_is_as_promised() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_020)]);
    evidence.keys = vec![saw(0, &[shown("a", 1), shown("a", 1)])];
    nothing_found(&evidence);
}

#[test]
fn a_second_start_under_refuse_is_found_even_if_the_first_owner_died() {
    let mut evidence = evidence(&[run(2, 1, 10_000, None), run(2, 2, 20_000, 20_010)]);
    evidence.processes[2].died = Some(10_005);
    assert!(matches!(found(&evidence), Violation::StartedTwice(..)));
}

#[test]
fn a_second_start_after_a_recorded_answer_is_found() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_020), run(1, 2, 20_000, 20_010)]);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    // Also if its process died, or the store went away, long after.
    evidence.processes[0].died = Some(19_000);
    evidence.outages.push(18_000..18_500);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    // Nobody knows whether a process saved what it answered just before it died.
    evidence.processes[0].died = Some(10_021);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().repeated, 1);
}

#[test]
fn a_second_start_after_an_answer_that_an_outage_met_on_its_way_is_allowed() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_020), run(1, 1, 10_600, 10_610)]);
    evidence.claims_die = true;
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    evidence.outages.push(10_030..11_500);
    nothing_found(&evidence);
    // A claim that outlives its connection keeps others away for the rest of its lease.
    evidence.claims_die = false;
    evidence.runs[1].fence = 2;
    evidence.runs[1].start = 10_500;
    assert!(matches!(found(&evidence), Violation::LeaseAlive(..)));
    evidence.runs[1].start = 10_600;
    nothing_found(&evidence);
    evidence.outages[0] = 10_521..11_500;
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
}

#[test]
fn a_second_start_while_the_first_runs_unharmed_is_found() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 15_000), run(1, 2, 14_000, 14_010)]);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    // Harm to others excuses nothing.
    evidence.processes[1].stops.push(11_000..13_000);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    // A lease that could not be renewed may have lapsed.
    evidence.outages.push(11_000..13_000);
    nothing_found(&evidence);
}

#[test]
fn a_second_start_within_the_lease_of_one_that_died_or_was_stopped_is_found() {
    let runs = [run(0, 1, 10_000, None), run(1, 2, 10_700, 10_720)];
    let mut evidence = evidence(&runs);
    evidence.processes[0].died = Some(10_300);
    assert!(matches!(found(&evidence), Violation::LeaseAlive(..)));
    evidence.runs[1].start = 11_300;
    nothing_found(&evidence);

    evidence.processes[0].died = None;
    evidence.processes[0].stops.push(10_300..12_000);
    evidence.runs[0].end = Some(12_010);
    nothing_found(&evidence);
    evidence.runs[1].start = 10_700;
    assert!(matches!(found(&evidence), Violation::LeaseAlive(..)));
}

#[test]
fn a_second_start_beside_one_that_began_after_its_lease_is_counted_apart() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_700), run(0, 2, 10_010, 10_710)]);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    // Its process had stood still, and so perhaps between its claim and its start.
    evidence.processes[0].stops.push(8000..9990);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().late, 1);
    evidence.processes[0].stops[0] = 5000..7900;
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
}

#[test]
fn one_fence_of_two_runs_that_could_overlap_is_found() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 13_000), run(1, 1, 12_500, 12_600)]);
    evidence.processes[0].stops.push(10_100..12_400);
    assert!(matches!(found(&evidence), Violation::SharedFence(..)));
    evidence.processes[1].stops.push(12_000..12_400);
    assert!(matches!(found(&evidence), Violation::SharedFence(..)));
}

#[test]
fn an_outdated_fence_is_found_unless_its_process_had_been_stopped() {
    let mut evidence = evidence(&[run(0, 2, 10_000, 10_020), run(1, 1, 10_200, 10_210)]);
    assert!(matches!(found(&evidence), Violation::OutdatedFence(..)));
    evidence.processes[1].stops.push(8000..10_190);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().late, 1);
    // One fence for both is not outdated, whoever was stopped.
    evidence.runs[1].fence = 2;
    assert!(matches!(found(&evidence), Violation::OutdatedFence(..)));
}

#[test]
fn a_claim_that_dies_with_its_process_leaves_its_fence_to_the_next() {
    let mut evidence = evidence(&[run(0, 1, 10_000, None), run(1, 1, 10_310, 10_320)]);
    evidence.processes[0].died = Some(10_300);
    assert!(matches!(found(&evidence), Violation::OutdatedFence(..)));
    evidence.claims_die = true;
    nothing_found(&evidence);
    evidence.runs[1].start = 10_290;
    assert!(matches!(found(&evidence), Violation::SharedFence(..)));
}

#[test]
fn a_transaction_that_an_outage_ends_leaves_its_key_to_the_next() {
    // The first stands still, and the store goes away while it does.
    let mut evidence = evidence(&[run(0, 1, 10_000, 12_010), run(1, 1, 10_400, 10_420)]);
    evidence.claims_die = true;
    evidence.processes[0].stops.push(10_010..12_000);
    assert!(matches!(found(&evidence), Violation::LeaseAlive(..)));
    evidence.outages.push(10_200..11_300);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().repeated, 1);
    evidence.runs[1].start = 10_100;
    assert!(matches!(found(&evidence), Violation::LeaseAlive(..)));
}

#[test]
fn a_run_that_begins_after_its_transaction_is_counted_apart() {
    // The second stood still between its claim and its start.
    let mut evidence = evidence(&[run(0, 1, 10_000, 12_100), run(1, 1, 12_010, 12_020)]);
    evidence.claims_die = true;
    evidence.processes[1].stops.push(9000..12_000);
    assert!(matches!(found(&evidence), Violation::SharedFence(..)));
    evidence.runs[0].end = Some(10_020);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    evidence.outages.push(8000..8990);
    assert!(matches!(found(&evidence), Violation::RanAgain(..)));
    evidence.outages[0] = 9500..9900;
    nothing_found(&evidence);
    assert_eq!(evidence.judge().late, 1);
    evidence.runs[0].end = Some(12_100);
    nothing_found(&evidence);
}

#[test]
fn what_the_store_lost_is_counted_apart() {
    let mut evidence = evidence(&[run(2, 1, 10_000, 10_020), run(2, 1, 11_000, 11_010)]);
    evidence.keys = vec![saw(0, &[shown("a", 1)])];
    assert!(matches!(found(&evidence), Violation::StartedTwice(..)));
    evidence.losses.push(10_500..10_600);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().lost, 1);
    // A loss explains nothing that came before it, or long after.
    evidence.losses[0] = 11_001..11_100;
    assert!(matches!(found(&evidence), Violation::StartedTwice(..)));
    evidence.losses[0] = 20_021..20_100;
    evidence.runs[1].start = 21_000;
    assert!(matches!(found(&evidence), Violation::StartedTwice(..)));
    evidence.losses[0] = 9000..9990;
    assert!(matches!(found(&evidence), Violation::StartedTwice(..)));
}

#[test]
fn two_answers_of_one_key_are_found() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_020), run(1, 2, 20_000, 20_010)]);
    evidence.processes[0].died = Some(10_021);
    evidence.keys = vec![saw(0, &[shown("a", 2), shown("a", 1), shown("a", 2)])];
    assert!(matches!(found(&evidence), Violation::TwoAnswers(0, ..)));
    // One was shown while the store was away, by a process that died before it was back.
    evidence.outages.push(10_010..10_500);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().unsaved, 1);
}

#[test]
fn an_answer_shown_while_the_store_was_away_for_longer_than_a_lease_is_counted_apart() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_020), run(1, 2, 12_100, 12_110)]);
    evidence.keys = vec![saw(0, &[shown("a", 1), shown("a", 2)])];
    evidence.outages.push(10_010..12_000);
    nothing_found(&evidence);
    assert_eq!(evidence.judge().unsaved, 1);
    // Not one that was given when the store was back, nor long before it was gone.
    evidence.runs[0].end = Some(12_050);
    assert!(matches!(found(&evidence), Violation::TwoAnswers(..)));
    // Nor where the other run began while the lease lasted, or when the answer had been saved.
    evidence.runs[0].end = Some(10_020);
    evidence.runs[1].start = 14_100;
    assert!(matches!(found(&evidence), Violation::TwoAnswers(..)));
}

#[test]
fn an_answer_that_nobody_knows_any_more_is_found() {
    let mut evidence = evidence(&[run(2, 1, 10_000, 10_020)]);
    evidence.keys = vec![saw(0, &[shown("a", 1)])];
    evidence.keys[0].forgotten = true;
    assert_eq!(found(&evidence), Violation::Forgotten(0));
    evidence.losses.push(10_500..10_600);
    nothing_found(&evidence);
}

#[test]
fn an_answer_of_another_key_and_one_that_nobody_gave_are_found() {
    let mut evidence = evidence(&[run(0, 1, 10_000, 10_020)]);
    evidence.keys = vec![saw(0, &[shown("a", 1)]), saw(1, &[shown("a", 1)])];
    assert!(matches!(found(&evidence), Violation::Foreign(0, 1, _)));
    evidence.keys = vec![saw(0, &[shown("a", 2)])];
    assert!(matches!(found(&evidence), Violation::Invented(0, _)));
    // A run that has not ended gave none.
    evidence.runs[0].end = None;
    evidence.processes[0].died = Some(10_010);
    evidence.keys = vec![saw(0, &[shown("a", 1)])];
    assert!(matches!(found(&evidence), Violation::Invented(0, _)));
}

#[test]
fn a_key_without_an_answer_and_one_with_an_odd_one_are_found() {
    let mut evidence = evidence(&[]);
    evidence.keys = vec![saw(7, &[])];
    nothing_found(&evidence);
    evidence.keys[0].unresolved = 1;
    assert_eq!(found(&evidence), Violation::Unresolved(7));
    evidence.keys[0].unresolved = 0;
    evidence.keys[0].odd.push("500".to_owned());
    assert_eq!(found(&evidence), Violation::Odd(7, "500".to_owned()));
}
