use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, advance, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{
    Admin, IdempotencyContext, IdempotencyLayer, MemoryStore, RequestBody, admin::Force,
};

use crate::support::{
    faulty_store::{DOWN, Fault, FaultyStore, Op},
    scene::{asked, obedient},
    wire::{Gate, TestLayer, Wire, defaults, keyed, response, until, with},
};

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(9);

fn nine_seconds(layer: TestLayer) -> TestLayer {
    layer.lease(LEASE)
}

/// A handler that runs for so many seconds, or until the gate is open, and hands its token out.
fn working(
    seconds: Option<u32>,
    gate: &Gate,
) -> (
    impl Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Clone + Send + Sync + 'static,
    mpsc::UnboundedReceiver<CancellationToken>,
) {
    let (tokens, receiver) = mpsc::unbounded_channel();
    let gate = gate.clone();
    let handler = move |request: Request<Body>| {
        let context: &IdempotencyContext = request.extensions().get().unwrap();
        tokens.send(context.lease_lost()).unwrap();
        let gate = gate.clone();
        async move {
            match seconds {
                Some(seconds) => sleep(seconds * SECOND).await,
                None => gate.pass().await,
            }
            response(201, "worked")
        }
        .boxed()
    };
    (handler, receiver)
}

/// Says whether two moments are the same, but for the milliseconds that timers are rounded to.
#[track_caller]
fn assert_at(at: Duration, expected: Duration) {
    assert!(
        at >= expected && at <= expected + Duration::from_millis(20),
        "{at:?}, not {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_every_third_of_it_while_the_handler_runs_and_not_after() {
    for router in [false, true] {
        let (handler, mut tokens) = working(Some(31), &Gate::default());
        let wire = Wire::of(router, nine_seconds, handler);
        let began = Instant::now();
        assert_eq!(wire.send(keyed("key")).await.text(), "worked");
        let renewals = wire.store.times(Op::Renew);
        assert_eq!(renewals.len(), 10);
        for (number, renewal) in (1..).zip(&renewals) {
            assert_at(*renewal - began, number * 3 * SECOND);
        }
        assert!(!tokens.recv().await.unwrap().is_cancelled());
        sleep(60 * SECOND).await;
        assert_eq!(wire.store.count(Op::Renew), renewals.len());
    }
}

/// When there was nothing to renew, the task that renews has ended.
#[tokio::test(start_paused = true)]
async fn a_handler_that_begins_after_a_quiet_time_is_renewed() {
    let handler = |request: Request<Body>| async move {
        if request.headers().contains_key("x-answer") {
            sleep(10 * SECOND).await;
        }
        response(201, "worked")
    };
    let wire = Wire::plain(nine_seconds, handler);
    for round in 1..=3 {
        wire.send(keyed(&format!("quick-{round}"))).await;
        sleep(60 * SECOND).await;
        assert_eq!(wire.store.count(Op::Renew), 3 * (round - 1));
        wire.send(asked(keyed(&format!("slow-{round}")), "slow"))
            .await;
        assert_eq!(wire.store.count(Op::Renew), 3 * round);
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_that_finish_at_once_cost_no_task_and_no_renewal_each() {
    let wire = Wire::plain(defaults, obedient(&Gate::default()));
    let before = Handle::current().metrics().num_alive_tasks();
    for number in 0..1_000 {
        wire.send(keyed(&number.to_string())).await;
        let tasks = Handle::current().metrics().num_alive_tasks() - before;
        assert!(tasks <= 1, "one renewer at most, not {tasks}");
    }
    sleep(10 * SECOND).await;
    assert_eq!(
        Handle::current().metrics().num_alive_tasks(),
        before,
        "it ends with its work"
    );
    assert_eq!(wire.store.count(Op::Renew), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_running_handlers_share_one_renewer() {
    let gate = Gate::default();
    let wire = Wire::plain(nine_seconds, obedient(&gate));
    let before = Handle::current().metrics().num_alive_tasks();
    let mut running = Vec::new();
    for number in 0..100 {
        running.push(wire.start(asked(keyed(&number.to_string()), "hold")).await);
    }
    let tasks = Handle::current().metrics().num_alive_tasks() - before;
    assert_eq!(
        tasks,
        running.len() + 1,
        "each client's own, and the renewer"
    );
    sleep(Duration::from_millis(3_100)).await;
    assert_eq!(wire.store.count(Op::Renew), 100);
    gate.open();
    for running in running {
        assert_eq!(running.await.unwrap().status, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_that_end_one_after_another_are_renewed_no_more_often_for_that() {
    let gate = Gate::default();
    let setup = |layer| nine_seconds(layer).max_execution(12 * SECOND);
    let wire = Wire::plain(setup, obedient(&gate));
    let mut running = Vec::new();
    for number in 0..100 {
        running.push(wire.start(asked(keyed(&number.to_string()), "hold")).await);
        sleep(SECOND / 100).await;
    }
    sleep(20 * SECOND).await;
    let renewals = wire.store.count(Op::Renew);
    assert!((300..600).contains(&renewals), "{renewals} of 100 handlers");
    gate.open();
    for running in running {
        assert_eq!(running.await.unwrap().status, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_that_its_lease_is_lost_before_another_can_have_its_key() {
    for fault in [DOWN, Fault::Hangs, Fault::Late(60 * SECOND)] {
        for router in [false, true] {
            let gate = Gate::default();
            let (handler, mut tokens) = working(None, &gate);
            let wire = Wire::of(router, nine_seconds, handler);
            wire.store.always(Op::Renew, fault);
            let began = Instant::now();
            let answer = wire.start(keyed("key")).await;
            tokens.recv().await.unwrap().cancelled().await;
            let told = began.elapsed();
            assert!(told < LEASE, "{told:?}");
            assert!(told > LEASE / 2, "not before it must: {told:?}");
            wire.send(keyed("key")).await.assert_refused("in-flight");
            gate.open();
            // Nobody took over, so its answer counts.
            assert_eq!(answer.await.unwrap().text(), "worked");
            assert!(wire.send(keyed("key")).await.is_replay());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_once_is_tried_again_in_time() {
    for fault in [
        DOWN,
        Fault::LosesReply(tower_idempotency::store::StoreErrorKind::Unavailable),
    ] {
        let (handler, mut tokens) = working(Some(30), &Gate::default());
        let wire = Wire::plain(nine_seconds, handler);
        for _ in 0..2 {
            wire.store.next(Op::Renew, fault);
        }
        assert_eq!(wire.send(keyed("key")).await.text(), "worked");
        assert!(!tokens.recv().await.unwrap().is_cancelled());
        assert_eq!(wire.store.count(Op::Renew), 2 + 9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_renewed_for_no_longer_than_max_execution_and_told_when_it_ends() {
    for max in [
        Duration::ZERO,
        Duration::from_millis(1),
        2 * SECOND,
        20 * SECOND,
    ] {
        let gate = Gate::default();
        let (handler, mut tokens) = working(None, &gate);
        let wire = Wire::plain(|layer| nine_seconds(layer).max_execution(max), handler);
        let began = Instant::now();
        let running = wire.start(keyed("key")).await;
        let token = tokens.recv().await.unwrap();
        timeout(60 * SECOND, token.cancelled())
            .await
            .expect("it is told");
        assert_at(began.elapsed(), max);
        let renewals = wire.store.count(Op::Renew) as u64;
        assert_eq!(renewals, max.as_secs() / 3);
        sleep(LEASE + SECOND).await;
        assert_eq!(wire.store.count(Op::Renew) as u64, renewals);
        let next = wire.start(keyed("key")).await;
        gate.open();
        assert_eq!(next.await.unwrap().text(), "worked");
        let late = running.await.unwrap();
        assert!(late.code() == Some("superseded") || late.text() == "worked");
        assert_eq!(wire.runs(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_key_was_taken_over_is_superseded_whether_or_not_a_renewal_told_it() {
    let cases = [
        ("503", Op::Release, true),
        ("500", Op::Abandon, true),
        ("503", Op::Release, false),
        ("500", Op::Abandon, false),
    ];
    for (status, settlement, told) in cases {
        let gate = Gate::default();
        let late = {
            let gate = gate.clone();
            move |request: Request<Body>| {
                let (gate, asked) = (gate.clone(), request.headers().get("x-answer").cloned());
                async move {
                    if let Some(status) = asked {
                        gate.pass().await;
                        return response(status.to_str().unwrap().parse().unwrap(), "late");
                    }
                    response(201, "paid")
                }
            }
        };
        let wire = Wire::router(nine_seconds, late);
        let running = wire.start(asked(keyed("key"), status)).await;
        wire.store.always(Op::Renew, DOWN);
        sleep(LEASE + SECOND).await;
        assert_eq!(wire.send(keyed("key")).await.text(), "paid");
        wire.store.heal();
        if told {
            sleep(LEASE).await;
        }
        gate.open();
        running.await.unwrap().assert_refused("superseded");
        assert_eq!(wire.store.count(settlement), 0, "it is not its own to end");
        assert!(wire.send(keyed("key")).await.is_replay());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_that_cannot_be_saved_at_first_is_superseded_all_the_same() {
    let gate = Gate::default();
    let wire = Wire::router(nine_seconds, obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    wire.store.always(Op::Renew, DOWN);
    sleep(LEASE + SECOND).await;
    assert_eq!(wire.send(keyed("key")).await.text(), "paid");
    wire.store.heal();
    wire.store.next(Op::Complete, DOWN);
    gate.open();
    running.await.unwrap().assert_refused("superseded");
    assert_eq!(wire.send(keyed("key")).await.text(), "paid");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_crosses_the_end_of_its_run_does_not_make_it_a_superseded_one() {
    for (status, settlement) in [(503, Op::Release), (500, Op::Abandon)] {
        let handler = move |_| async move {
            sleep(4 * SECOND).await;
            response(status, "own answer")
        };
        let wire = Wire::router(nine_seconds, handler);
        // Sent at 3 s, applied at 4.5 s; the claim's end is applied at 4 s and answered at 5 s.
        wire.store
            .next(Op::Renew, Fault::Late(Duration::from_millis(1_500)));
        wire.store.next(settlement, Fault::RepliesLate(SECOND));
        let answer = wire.send(keyed("key")).await;
        assert_eq!((answer.status, answer.text()), (status, "own answer"));
    }
}

/// By its own clock, its lease is good: the key was forgotten by hand, say.
#[tokio::test(start_paused = true)]
async fn a_run_is_superseded_as_soon_as_a_renewal_says_so() {
    let gate = Gate::default();
    let late = {
        let gate = gate.clone();
        move |request: Request<Body>| {
            let (gate, is_first) = (gate.clone(), request.headers().contains_key("x-answer"));
            async move {
                if is_first {
                    gate.pass().await;
                    return response(500, "late");
                }
                response(201, "paid")
            }
        }
    };
    let wire = Wire::router(nine_seconds, late);
    let running = wire.start(asked(keyed("key"), "500")).await;
    let (name, _) = wire.store.claims()[0];
    wire.store.memory.forget(&name, Force::Yes).await.unwrap();
    assert_eq!(wire.send(keyed("key")).await.text(), "paid");
    sleep(4 * SECOND).await;
    assert_eq!(wire.store.count(Op::Renew), 1);
    gate.open();
    running.await.unwrap().assert_refused("superseded");
    assert_eq!(wire.store.count(Op::Abandon), 0);
}

/// It stood still, has told its handler, and renews all the same.
#[tokio::test(start_paused = true)]
async fn a_renewal_after_a_stall_is_given_time_to_be_answered() {
    let gate = Gate::default();
    let wire = Wire::plain(nine_seconds, obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    wire.store
        .next(Op::Renew, Fault::Late(Duration::from_millis(100)));
    advance(8 * SECOND).await;
    sleep(2 * SECOND).await;
    wire.send(keyed("key")).await.assert_refused("in-flight");
    gate.open();
    assert_eq!(running.await.unwrap().status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_saved_is_tried_again_after_a_pause_and_not_at_once() {
    let wire = Wire::plain(nine_seconds, obedient(&Gate::default()));
    wire.store.next(Op::Complete, DOWN);
    assert_eq!(wire.send(keyed("key")).await.status, 201);
    assert_eq!(wire.store.count(Op::Complete), 1);
    sleep(SECOND).await;
    assert_eq!(wire.store.count(Op::Complete), 2);
}

#[tokio::test(start_paused = true)]
async fn the_shortest_and_the_longest_durations_work() {
    for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let all = |layer: TestLayer| {
            layer
                .ttl(duration)
                .lease(duration)
                .max_execution(duration)
                .wait(duration)
        };
        for wire in Wire::both(all, obedient(&Gate::default())) {
            let answer = timeout(SECOND, wire.send(keyed("key"))).await.unwrap();
            assert_eq!(answer.status, 201);
            if duration == Duration::MAX {
                sleep(1_000_000 * SECOND).await;
                assert!(wire.send(keyed("key")).await.is_replay());
            } else {
                sleep(SECOND).await;
                assert!(
                    !wire.send(keyed("key")).await.is_replay(),
                    "its record has expired"
                );
            }
            until(|| wire.drain.in_flight() == 0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_layer_with_another_lease_is_renewed_at_its_own_pace() {
    let store = FaultyStore::default();
    let base = IdempotencyLayer::new(store.clone());
    let handler = service_fn(async |request: Request<RequestBody<Body>>| {
        let seconds = request.headers()["x-seconds"].to_str().unwrap().parse();
        sleep(seconds.unwrap_or(0) * SECOND).await;
        Ok::<_, Infallible>(response(201, "worked"))
    });
    let slow = base.clone().lease(60 * SECOND).layer(handler);
    let quick = base.lease(3 * SECOND).layer(handler);

    let slow = tokio::spawn(slow.oneshot(with(keyed("slow"), "x-seconds", "10")));
    until(|| store.count(Op::Claim) == 1).await;
    quick
        .oneshot(with(keyed("quick"), "x-seconds", "5"))
        .await
        .unwrap();
    assert_eq!(store.count(Op::Renew), 4, "every second of five");
    slow.await.unwrap().unwrap();
}

/// In real time, on the one thread: nobody renews meanwhile.
#[tokio::test]
async fn who_stood_still_beyond_the_lease_is_told_when_asking() {
    const LEASE: Duration = Duration::from_secs(1);
    let stands_still = service_fn(async |request: Request<RequestBody<Body>>| {
        let context: &IdempotencyContext = request.extensions().get().unwrap();
        let before = context.lease_lost().is_cancelled();
        std::thread::sleep(LEASE);
        let after = context.lease_lost().is_cancelled();
        assert_eq!((before, after), (false, true));
        Ok::<_, Infallible>(response(201, "worked"))
    });
    let layer = IdempotencyLayer::new(MemoryStore::new()).lease(LEASE);
    let answer = layer.layer(stands_still).oneshot(keyed("key")).await;
    assert_eq!(answer.unwrap().status(), 201);
}
