use std::{sync::Arc, time::Duration};

use axum::body::Body;
use futures_util::FutureExt;
use http::Request;
use tokio::time::{Instant, sleep, timeout};
use tower_idempotency::{
    StoreFailure, UnknownOutcome,
    store::{Completion, StoreErrorKind},
};

use crate::support::{
    faulty_store::{DOWN, Fault, Op},
    scene::{asked, obedient},
    wire::{Gate, TestLayer, Wire, answers, defaults, keyed, response, tells, until},
};

const SECOND: Duration = Duration::from_secs(1);
const KINDS: [StoreErrorKind; 3] = [
    StoreErrorKind::Unavailable,
    StoreErrorKind::Full,
    StoreErrorKind::Corrupt,
];

fn fail_open(layer: TestLayer) -> TestLayer {
    layer.store_failure(StoreFailure::FailOpen)
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_in_any_way_is_503_and_nothing_runs() {
    for kind in KINDS {
        for fault in [Fault::Fails(kind), Fault::LosesReply(kind)] {
            for wire in Wire::both(defaults, obedient(&Gate::default())) {
                wire.store.next(Op::Claim, fault);
                wire.send(keyed("key"))
                    .await
                    .assert_refused("store-unavailable");
                assert_eq!(wire.runs(), 0, "{fault:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_taken_back_and_does_not_hold_its_key() {
    for wire in Wire::both(defaults, obedient(&Gate::default())) {
        wire.store
            .next(Op::Claim, Fault::LosesReply(StoreErrorKind::Unavailable));
        wire.store.next(Op::Release, DOWN);
        wire.send(keyed("key"))
            .await
            .assert_refused("store-unavailable");
        until(|| wire.store.count(Op::Release) == 1).await;
        wire.send(keyed("key")).await.assert_refused("in-flight");
        sleep(SECOND).await;
        assert_eq!(wire.store.count(Op::Release), 2, "tried again");
        assert_eq!(wire.send(keyed("key")).await.text(), "paid");
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_nothing_is_no_unknown_outcome_however_long_the_store_was_away() {
    let refuse = |layer| defaults(layer).unknown_outcome(UnknownOutcome::Refuse);
    for wire in Wire::both(refuse, tells) {
        // A run that ended with nothing done, and a claim whose answer was lost.
        wire.store.always(Op::Release, DOWN);
        let answer = wire.send(asked(keyed("run"), "503")).await;
        assert_eq!(answer.status, 503);
        let lost = Fault::LosesReply(StoreErrorKind::Unavailable);
        wire.store.next(Op::Claim, lost);
        wire.send(asked(keyed("claim"), "503"))
            .await
            .assert_refused("store-unavailable");
        sleep(60 * SECOND).await;
        wire.send(asked(keyed("run"), "201"))
            .await
            .assert_refused("outcome-unknown");
        wire.store.heal();
        sleep(2 * SECOND).await;
        for key in ["run", "claim"] {
            let answer = wire.send(asked(keyed(key), "201")).await;
            assert!(answer.text().starts_with("1 "), "{key}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_answered_too_late_to_be_renewed_is_released_and_not_run() {
    for setup in [defaults, fail_open] {
        for (delay, runs) in [(3_900, 1), (4_000, 0), (10_000, 0), (60_000, 0)] {
            for wire in Wire::both(setup, obedient(&Gate::default())) {
                wire.store
                    .next(Op::Claim, Fault::RepliesLate(Duration::from_millis(delay)));
                let answer = wire.send(keyed("key")).await;
                assert_eq!(wire.runs(), runs, "answered after {delay} ms");
                if runs == 0 {
                    answer.assert_refused("store-unavailable");
                    until(|| wire.store.count(Op::Release) == 1).await;
                    assert_eq!(wire.send(keyed("key")).await.text(), "paid");
                } else {
                    assert_eq!(answer.text(), "paid");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failing_open_is_only_for_a_store_that_cannot_be_reached() {
    for wire in Wire::both(fail_open, obedient(&Gate::default())) {
        for kind in [StoreErrorKind::Full, StoreErrorKind::Corrupt] {
            wire.store.next(Op::Claim, Fault::Fails(kind));
            wire.send(keyed("key"))
                .await
                .assert_refused("store-unavailable");
        }
        assert_eq!(wire.runs(), 0);
        wire.store.next(Op::Claim, DOWN);
        let answer = wire.send(keyed("key")).await;
        assert_eq!(
            (answer.text(), answer.header("idempotency-degraded")),
            ("paid", Some("true"))
        );
        until(|| wire.store.count(Op::Complete) == 1).await;
        let replay = wire.send(keyed("key")).await;
        assert!(replay.is_replay(), "recorded once the store was back");
        assert_eq!(replay.header("idempotency-degraded"), None);
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_met_an_owner_does_not_run_beside_it_when_the_store_fails() {
    let gate = Gate::default();
    let waiting = |layer| fail_open(layer).wait(60 * SECOND);
    let wire = Wire::plain(waiting, obedient(&gate));
    let owner = wire.start(asked(keyed("key"), "hold")).await;
    let waiter = wire.spawn(asked(keyed("key"), "hold"));
    // The owner's, the waiter's, and the waiter's once it listens.
    until(|| wire.store.count(Op::Claim) == 3).await;
    wire.store.next(Op::Claim, DOWN);
    // Longer than the lease that it waits for.
    sleep(20 * SECOND).await;
    assert_eq!(wire.runs(), 1);
    waiter.await.unwrap().assert_refused("store-unavailable");
    // What it may have claimed is taken back, as after any claim that failed.
    until(|| wire.store.count(Op::Release) == 1).await;
    gate.open();
    assert_eq!(owner.await.unwrap().status, 201);
}

#[tokio::test(start_paused = true)]
async fn what_ran_without_the_store_is_settled_when_it_ends() {
    for (asked_for, settlement) in [
        ("201", Op::Complete),
        ("503", Op::Release),
        ("500", Op::Abandon),
    ] {
        for fault in [DOWN, Fault::LosesReply(StoreErrorKind::Unavailable)] {
            for wire in Wire::both(fail_open, tells) {
                wire.store.next(Op::Claim, fault);
                wire.store.next(settlement, DOWN);
                let answer = wire.send(asked(keyed("key"), asked_for)).await;
                assert_eq!(answer.header("idempotency-degraded"), Some("true"));
                assert!(answer.text().starts_with("1 None "), "no fence: {answer:?}");
                sleep(5 * SECOND).await;
                assert_eq!(wire.store.calls(), [Op::Claim, settlement, settlement]);
                assert_eq!(
                    wire.send(keyed("key")).await.is_replay(),
                    settlement == Op::Complete
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_saved_is_given_to_the_client_and_saved_later() {
    let two_minutes = |layer: TestLayer| layer.max_execution(120 * SECOND);
    for fault in KINDS
        .map(Fault::Fails)
        .into_iter()
        .chain([Fault::LosesReply(KINDS[0])])
    {
        for wire in Wire::both(two_minutes, obedient(&Gate::default())) {
            wire.store.always(Op::Complete, fault);
            let began = Instant::now();
            let answer = wire.send(keyed("key")).await;
            assert_eq!((answer.status, answer.text()), (201, "paid"));
            assert_eq!(
                began.elapsed(),
                Duration::ZERO,
                "the client does not wait for the store"
            );
            if matches!(fault, Fault::Fails(_)) {
                sleep(60 * SECOND).await;
                wire.send(keyed("key")).await.assert_refused("in-flight");
                assert_eq!(
                    wire.drain.in_flight(),
                    1,
                    "it counts as in flight until it is saved"
                );
                assert!(
                    wire.store.count(Op::Renew) >= 17,
                    "kept, far beyond its lease"
                );
                let tries = wire.store.count(Op::Complete);
                assert!(
                    (30..200).contains(&tries),
                    "with a pause between tries: {tries}"
                );
            }
            wire.store.heal();
            sleep(2 * SECOND).await;
            assert!(wire.send(keyed("key")).await.is_replay());
            assert_eq!((wire.runs(), wire.drain.in_flight()), (1, 0));
            assert!(!wire.store.calls().contains(&Op::Release), "never released");
            assert!(!wire.store.calls().contains(&Op::Abandon));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn saving_is_given_up_at_max_execution_and_the_outcome_is_unknown() {
    let wire = Wire::router(|layer| layer.max_execution(60 * SECOND), tells);
    wire.store.always(Op::Complete, DOWN);
    assert!(
        wire.send(keyed("key"))
            .await
            .text()
            .starts_with("1 Some(1) ")
    );
    sleep(75 * SECOND).await;
    assert_eq!(wire.drain.in_flight(), 0);
    wire.store.heal();
    assert!(
        wire.send(keyed("key"))
            .await
            .text()
            .starts_with("2 Some(2) ")
    );
}

#[tokio::test(start_paused = true)]
async fn a_release_or_an_abandonment_that_fails_is_tried_again_without_the_client() {
    for (what, op) in [("503", Op::Release), ("500", Op::Abandon)] {
        for wire in Wire::both(defaults, obedient(&Gate::default())) {
            wire.store.next(op, DOWN);
            wire.store.next(op, DOWN);
            let answer = wire.send(asked(keyed("key"), what)).await;
            assert_eq!(answer.text(), "asked");
            sleep(SECOND).await;
            assert_eq!(wire.store.calls()[1..], [op; 3]);
            assert_eq!(wire.send(keyed("key")).await.text(), "paid");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_was_undone_is_503_and_never_the_handlers_answer() {
    for wire in Wire::both(defaults, obedient(&Gate::default())) {
        wire.store.completes_with(Completion::Undone);
        wire.send(keyed("key"))
            .await
            .assert_refused("store-unavailable");
        sleep(60 * SECOND).await;
        assert_eq!(
            wire.store.calls(),
            [Op::Claim, Op::Complete],
            "not repeated"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_comes_too_late_is_409_and_never_the_handlers_answer() {
    for wire in Wire::both(defaults, obedient(&Gate::default())) {
        wire.store.completes_with(Completion::Superseded);
        wire.send(keyed("key")).await.assert_refused("superseded");
        assert_eq!(wire.store.calls(), [Op::Claim, Op::Complete]);
    }
}

type Damage = fn(Vec<u8>) -> Vec<u8>;

/// Changes a record and makes its checksum right again.
fn sealed(mut record: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    record.truncate(record.len() - 4);
    change(&mut record);
    let checksum = crc32fast::hash(&record);
    record.extend(checksum.to_be_bytes());
    record
}

#[tokio::test]
async fn a_record_that_is_damaged_foreign_or_of_another_version_is_503_and_nothing_runs() {
    let damages: [(&str, Damage); 9] = [
        ("empty", |_| Vec::new()),
        ("cut short", |mut record| {
            record.pop();
            record
        }),
        ("one byte", |record| record[..1].to_vec()),
        ("a bit of the body", |mut record| {
            let place = record.len() - 5;
            record[place] ^= 1;
            record
        }),
        ("more than a record", |mut record| {
            record.push(0);
            record
        }),
        ("version 0", |record| sealed(record, |record| record[0] = 0)),
        ("version 2", |record| sealed(record, |record| record[0] = 2)),
        ("another kind", |record| {
            sealed(record, |record| record[1] = 7)
        }),
        ("another name", |record| {
            sealed(record, |record| record[2] ^= 1)
        }),
    ];
    for setup in [defaults, fail_open] {
        for wire in Wire::both(setup, answers(|| response(201, "paid"))) {
            wire.send(keyed("key")).await;
            for (what, damage) in damages {
                wire.store.tampers(damage);
                let answer = wire.send(keyed("key")).await;
                assert_eq!(answer.code(), Some("store-unavailable"), "{what}");
                answer.assert_refused("store-unavailable");
            }
            wire.store.tampers(|record| sealed(record, |_| {}));
            assert!(
                wire.send(keyed("key")).await.is_replay(),
                "an untouched one is replayed"
            );
            assert_eq!(wire.runs(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_hands_to_the_handler_lives_until_the_claim_is_settled() {
    #[derive(Clone)]
    struct Transaction(#[expect(dead_code, reason = "it is counted")] Arc<()>);

    for (status, op) in [(201, Op::Complete), (503, Op::Release), (500, Op::Abandon)] {
        for router in [false, true] {
            let transaction = Arc::new(());
            let handler = move |request: Request<Body>| {
                let seen = request.extensions().get::<Transaction>().is_some();
                async move { response(status, format!("{seen}")) }.boxed()
            };
            let wire = Wire::of(router, defaults, handler);
            wire.store.hands_out(Transaction(Arc::clone(&transaction)));
            let nobody = Arc::strong_count(&transaction);
            wire.store.next(op, Fault::Late(SECOND));
            let answer = wire.spawn(keyed("key"));
            until(|| wire.store.count(op) == 1).await;
            assert!(
                Arc::strong_count(&transaction) > nobody,
                "held while {op:?} is under way"
            );
            let answer = timeout(2 * SECOND, answer).await.unwrap().unwrap();
            assert_eq!(answer.text(), "true");
            assert_eq!(Arc::strong_count(&transaction), nobody);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_hands_out_lives_on_while_saving_is_tried_again() {
    let wire = Wire::router(defaults, answers(|| response(201, "paid")));
    let transaction = Arc::new(());
    wire.store.hands_out(Arc::clone(&transaction));
    let nobody = Arc::strong_count(&transaction);
    wire.store.always(Op::Complete, DOWN);
    assert_eq!(wire.send(keyed("key")).await.text(), "paid");
    sleep(30 * SECOND).await;
    assert_eq!(Arc::strong_count(&transaction), nobody + 1);
    wire.store.heal();
    sleep(2 * SECOND).await;
    assert_eq!(Arc::strong_count(&transaction), nobody);
}
