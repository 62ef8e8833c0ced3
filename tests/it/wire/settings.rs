use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use axum::body::Body;
use tokio::time::{Instant, sleep};
use tower_idempotency::IdempotencyLayer;

use crate::support::{
    faulty_store::{FaultyStore, Op},
    scene::{asked, obedient},
    wire::{Gate, TestLayer, Wire, answers, keyed, response},
};

#[test]
fn a_setting_that_cannot_work_is_a_clear_panic_where_it_is_made() {
    let none: [&str; 0] = [];
    let settings: [(&str, &dyn Fn(TestLayer) -> TestLayer); 12] = [
        ("not the name of a header field", &|layer| layer.header("")),
        ("not the name of a header field", &|layer| {
            layer.header("idempotency key")
        }),
        ("not the name of a header field", &|layer| {
            layer.header("schlüssel")
        }),
        ("not the name of a header field", &|layer| {
            layer.credential_headers(["a", "b c"])
        }),
        ("use `unscoped`", &move |layer| {
            layer.credential_headers(none)
        }),
        ("needs a name", &move |layer| layer.credential_cookies(none)),
        ("not a URI", &|layer| layer.problem_base("a b")),
        ("not a URI", &|layer| layer.problem_base("\"")),
        ("not a URI", &|layer| layer.problem_base("\\")),
        ("not a URI", &|layer| layer.problem_base("ü")),
        ("not a URI", &|layer| layer.problem_base("\n")),
        ("the secret is empty", &|layer| layer.secret("")),
    ];
    for (message, set) in settings {
        let layer = IdempotencyLayer::new(FaultyStore::default());
        let panic = catch_unwind(AssertUnwindSafe(|| set(layer))).expect_err(message);
        let said = panic.downcast_ref::<String>().cloned();
        let said = said
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap();
        assert!(said.contains(message), "{said:?} does not say {message:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_permits_are_taken_for_one_and_any_number_is_allowed() {
    for (max, overloaded) in [(0, true), (1, true), (2, false), (usize::MAX, false)] {
        let gate = Gate::default();
        let wire = Wire::router(|layer| layer.max_in_flight(max), obedient(&gate));
        let running = wire.start(asked(keyed("a"), "hold")).await;
        let other = wire.send(keyed("b")).await;
        assert_eq!(other.code() == Some("overloaded"), overloaded, "{max}");
        gate.open();
        assert_eq!(running.await.unwrap().status, 201);
        assert_eq!(wire.send(keyed("b")).await.status, 201);
        wire.drain.drain(Duration::ZERO).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn with_no_place_to_wait_every_request_is_refused_at_once() {
    let gate = Gate::default();
    let setup = |layer: TestLayer| layer.wait(Duration::from_secs(5)).max_waiting(0);
    let wire = Wire::router(setup, obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    let began = Instant::now();
    wire.send(keyed("key")).await.assert_refused("in-flight");
    assert_eq!(began.elapsed(), Duration::ZERO);
    gate.open();
    assert_eq!(running.await.unwrap().status, 201);
}

#[tokio::test]
async fn limits_of_no_bytes_let_empty_bodies_pass() {
    let setup = |layer: TestLayer| layer.max_request_bytes(0).max_response_bytes(0);
    let empty = || keyed("empty").map(|_| Body::empty());
    for wire in Wire::both(setup, answers(|| response(204, ""))) {
        wire.send(keyed("key"))
            .await
            .assert_refused("payload-too-large");
        assert_eq!(wire.send(empty()).await.status, 204);
        let replay = wire.send(empty()).await;
        assert!(replay.is_replay());
        assert_eq!(
            replay.header("idempotency-replay"),
            None,
            "an empty body is a whole one"
        );
    }
    for wire in Wire::both(setup, answers(|| response(201, "paid"))) {
        assert_eq!(wire.send(empty()).await.text(), "paid");
        assert_eq!(
            wire.send(empty()).await.header("idempotency-replay"),
            Some("omitted")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_no_longer_than_the_ttl() {
    let gate = Gate::default();
    let setup = |layer: TestLayer| {
        layer
            .lease(Duration::from_secs(60))
            .ttl(Duration::from_secs(3))
    };
    let wire = Wire::router(setup, obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    sleep(Duration::from_millis(3_500)).await;
    assert_eq!(
        wire.store.count(Op::Renew),
        3,
        "every third of three seconds"
    );
    gate.open();
    assert_eq!(running.await.unwrap().status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_replayed_until_its_ttl_has_passed_and_then_the_handler_runs_again() {
    let setup = |layer: TestLayer| layer.ttl(Duration::from_secs(60));
    for wire in Wire::both(setup, answers(|| response(201, "paid"))) {
        wire.send(keyed("key")).await;
        sleep(Duration::from_millis(59_900)).await;
        assert!(wire.send(keyed("key")).await.is_replay());
        sleep(Duration::from_millis(200)).await;
        assert!(!wire.send(keyed("key")).await.is_replay());
        assert_eq!(wire.runs(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_ttl_is_a_day() {
    let wire = Wire::router(|layer| layer, answers(|| response(201, "paid")));
    wire.send(keyed("key")).await;
    sleep(Duration::from_secs(24 * 60 * 60 - 1)).await;
    assert!(wire.send(keyed("key")).await.is_replay());
    sleep(Duration::from_secs(2)).await;
    assert!(!wire.send(keyed("key")).await.is_replay());
}
