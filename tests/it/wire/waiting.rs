use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use tokio::{
    task::JoinHandle,
    time::{Instant, advance, sleep},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{
    Fingerprint, IdempotencyLayer, RecordName, RequestBody, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Effects, Renewal, StoreError},
};

use crate::support::{
    faulty_store::{DOWN, Fault, Op},
    scene::{asked, obedient},
    wire::{Answer, Gate, TestLayer, Wire, keyed, response, until},
};

const MAX: Duration = Duration::from_secs(5);

fn wait(layer: TestLayer) -> TestLayer {
    layer.wait(MAX)
}

/// Starts a request that is held, and so many that wait for it.
async fn held(wire: &Wire, waiters: usize) -> (JoinHandle<Answer>, Vec<JoinHandle<Answer>>) {
    let owner = wire.start(asked(keyed("key"), "hold")).await;
    (owner, join_waiting(wire, waiters).await)
}

async fn join_waiting(wire: &Wire, waiters: usize) -> Vec<JoinHandle<Answer>> {
    let before = wire.store.listeners();
    let waiters: Vec<_> = (0..waiters).map(|_| wire.spawn(keyed("key"))).collect();
    until(|| wire.store.listeners() == before + waiters.len()).await;
    waiters
}

/// A handler that answers so, one after the other, each once the gate is open.
fn in_turn(
    gate: &Gate,
    statuses: &'static [u16],
) -> impl Fn(Request<Body>) -> futures_util::future::BoxFuture<'static, http::Response<Body>>
+ Clone
+ Send
+ Sync
+ 'static {
    let (gate, next) = (
        gate.clone(),
        std::sync::Arc::new(std::sync::Mutex::new(statuses.iter())),
    );
    move |_| {
        let (gate, status) = (
            gate.clone(),
            *next.lock().unwrap().next().expect("one run too many"),
        );
        async move {
            gate.pass().await;
            response(status, "answer")
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_woken_when_the_owner_finishes_and_get_its_answer() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, wait, obedient(&gate));
        let (owner, waiters) = held(&wire, 3).await;
        sleep(Duration::from_millis(123)).await;
        let finished = Instant::now();
        gate.open();
        assert!(!owner.await.unwrap().is_replay());
        for waiter in waiters {
            let answer = waiter.await.unwrap();
            assert_eq!((answer.text(), answer.is_replay()), ("paid late", true));
        }
        assert_eq!(finished.elapsed(), Duration::ZERO, "woken, not polled");
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_need_not_wait_listens_to_nothing() {
    for wire in Wire::both(wait, obedient(&Gate::default())) {
        wire.send(keyed("key")).await;
        assert!(wire.send(keyed("key")).await.is_replay());
        assert_eq!(wire.store.listeners(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_result_that_is_not_recorded_exactly_one_of_those_who_wait_runs() {
    for statuses in [&[503, 201][..], &[500, 201], &[503, 500, 429, 201]] {
        for router in [false, true] {
            let gate = Gate::default();
            let wire = Wire::of(router, wait, in_turn(&gate, statuses));
            let owner = wire.start(keyed("key")).await;
            let waiters = join_waiting(&wire, 20).await;
            gate.open();
            let mut own = vec![owner.await.unwrap().status];
            for waiter in waiters {
                let answer = waiter.await.unwrap();
                if answer.is_replay() {
                    assert_eq!(answer.status, 201);
                } else {
                    own.push(answer.status);
                }
            }
            own.sort_unstable();
            let mut expected = statuses.to_vec();
            expected.sort_unstable();
            assert_eq!(own, expected, "each run's answer went to one client");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_repetition_is_refused_those_who_wait_are_told_that_the_outcome_is_unknown() {
    for router in [false, true] {
        let gate = Gate::default();
        let refuse = |layer| wait(layer).unknown_outcome(UnknownOutcome::Refuse);
        let wire = Wire::of(router, refuse, in_turn(&gate, &[500]));
        let owner = wire.start(keyed("key")).await;
        let waiters = join_waiting(&wire, 3).await;
        gate.open();
        assert_eq!(owner.await.unwrap().status, 500);
        for waiter in waiters {
            waiter.await.unwrap().assert_refused("outcome-unknown");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waited_for_the_longest_time_is_refused() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, wait, obedient(&gate));
        let (owner, waiters) = held(&wire, 2).await;
        let began = Instant::now();
        for waiter in waiters {
            waiter.await.unwrap().assert_refused("in-flight");
        }
        let waited = began.elapsed();
        assert!(
            waited >= MAX && waited <= MAX + Duration::from_millis(2),
            "{waited:?}"
        );
        gate.open();
        assert_eq!(owner.await.unwrap().status, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn one_more_than_may_wait_is_refused_at_once() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, |layer| wait(layer).max_waiting(2), obedient(&gate));
        let (owner, waiters) = held(&wire, 2).await;
        let began = Instant::now();
        wire.send(keyed("key")).await.assert_refused("in-flight");
        assert_eq!(began.elapsed(), Duration::ZERO);
        for waiter in &waiters {
            waiter.abort();
        }
        for waiter in waiters {
            assert!(waiter.await.unwrap_err().is_cancelled());
        }
        let in_their_place = join_waiting(&wire, 2).await;
        gate.open();
        assert_eq!(owner.await.unwrap().status, 201);
        for waiter in in_their_place {
            assert!(waiter.await.unwrap().is_replay());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_wait_for_one_key_and_its_handler_runs_once() {
    let gate = Gate::default();
    let wire = Wire::plain(wait, obedient(&gate));
    let (owner, waiters) = held(&wire, 10_000).await;
    wire.send(keyed("key")).await.assert_refused("in-flight");
    gate.open();
    assert!(!owner.await.unwrap().is_replay());
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_replay());
    }
    assert_eq!(wire.runs(), 1);
    assert_eq!(wire.drain.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_holds_no_permit() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(
            router,
            |layer| wait(layer).max_in_flight(2),
            obedient(&gate),
        );
        let (owner, waiters) = held(&wire, 20).await;
        assert_eq!(wire.drain.in_flight(), 1);
        assert_eq!(wire.send(keyed("other")).await.status, 201);
        gate.open();
        assert_eq!(owner.await.unwrap().status, 201);
        for waiter in waiters {
            assert!(
                waiter.await.unwrap().is_replay(),
                "permits go round among those who wait"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_request_does_not_wait_for_a_key_that_is_not_its_own() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, wait, obedient(&gate));
        let (owner, _waiters) = held(&wire, 1).await;
        let other = keyed("key").map(|_| Body::from("amount=2"));
        let began = Instant::now();
        wire.send(other)
            .await
            .assert_refused("fingerprint-mismatch");
        assert_eq!(began.elapsed(), Duration::ZERO);
        gate.open();
        assert_eq!(owner.await.unwrap().status, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_takes_over_when_the_owners_lease_passes() {
    for router in [false, true] {
        let gate = Gate::default();
        let long = |layer: TestLayer| layer.wait(Duration::from_secs(60));
        let wire = Wire::of(router, long, obedient(&gate));
        wire.store.always(Op::Renew, DOWN);
        let began = Instant::now();
        let (owner, waiters) = held(&wire, 3).await;
        let mut own = 0;
        for waiter in waiters {
            let answer = waiter.await.unwrap();
            assert_eq!(answer.text(), "paid");
            own += usize::from(!answer.is_replay());
        }
        assert_eq!((own, wire.runs()), (1, 2));
        assert!(
            began.elapsed() <= Duration::from_millis(10_005),
            "{:?}",
            began.elapsed()
        );
        gate.open();
        owner.await.unwrap().assert_refused("superseded");
    }
}

/// Holds both places of a server, by an owner whose lease passes and by another request, while a
/// third waits for that owner; returns the one who waits once it wants a place.
async fn no_place_left(wire: &Wire) -> JoinHandle<Answer> {
    wire.store.always(Op::Renew, DOWN);
    let (_, mut waiters) = held(wire, 1).await;
    wire.start(asked(keyed("other"), "hold")).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!((wire.drain.in_flight(), wire.runs()), (2, 2));
    waiters.remove(0)
}

fn two_places(layer: TestLayer) -> TestLayer {
    layer.wait(Duration::from_secs(60)).max_in_flight(2)
}

#[tokio::test(start_paused = true)]
async fn one_who_waited_gets_the_next_place_that_is_free() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, two_places, obedient(&gate));
        let waiter = no_place_left(&wire).await;
        assert!(!waiter.is_finished());
        gate.open();
        let began = Instant::now();
        assert!(waiter.await.unwrap().is_replay(), "nobody took over");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(wire.drain.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waited_is_refused_a_place_when_its_time_is_up_or_draining_begins() {
    let gate = Gate::default();
    let wire = Wire::plain(two_places, obedient(&gate));
    let began = Instant::now();
    let waiter = no_place_left(&wire).await.await.unwrap();
    waiter.assert_refused("overloaded");
    assert_eq!(began.elapsed(), Duration::from_secs(60));

    let wire = Wire::plain(two_places, obedient(&gate));
    let waiter = no_place_left(&wire).await;
    let began = Instant::now();
    let left = wire.drain.drain(Duration::ZERO).await.unwrap_err();
    assert!(left.to_string().starts_with("2 keyed requests"), "{left}");
    waiter.await.unwrap().assert_refused("draining");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn draining_sends_away_those_who_wait() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, wait, obedient(&gate));
        let (owner, waiters) = held(&wire, 2).await;
        assert_eq!(
            wire.drain
                .drain(Duration::ZERO)
                .await
                .unwrap_err()
                .in_flight,
            1
        );
        for waiter in waiters {
            waiter.await.unwrap().assert_refused("draining");
        }
        gate.open();
        assert_eq!(owner.await.unwrap().status, 201);
        wire.drain.drain(Duration::ZERO).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_claim_is_under_way_does_not_go_on_waiting() {
    let gate = Gate::default();
    let wire = Wire::plain(|layer| wait(layer).max_waiting(1), obedient(&gate));
    let owner = wire.start(asked(keyed("key"), "hold")).await;
    wire.store
        .next(Op::Claim, Fault::Late(Duration::from_millis(10)));
    let leaving = wire.spawn(keyed("key"));
    until(|| wire.store.count(Op::Claim) == 2).await;
    leaving.abort();
    sleep(Duration::from_millis(20)).await;
    assert_eq!(wire.store.listeners(), 0, "nobody is there to wait");
    let waiters = join_waiting(&wire, 1).await;
    gate.open();
    assert_eq!(owner.await.unwrap().status, 201);
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_replay());
    }
    advance(MAX).await;
}

/// A store in which another holds every key for ever, and says so again and again.
#[derive(Clone, Default)]
struct AlwaysHeld(Arc<AtomicUsize>);

#[async_trait]
impl Store for AlwaysHeld {
    async fn claim(
        &self,
        _: &Claim,
        _: &Fingerprint,
        _: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Claimed::Held {
            fingerprint: None,
            left: Some(Duration::MAX),
        })
    }

    async fn renew(&self, _: &Claim) -> Result<Renewal, StoreError> {
        Ok(Renewal::Lost)
    }

    async fn complete(&self, _: &Claim, _: Bytes, _: Effects) -> Result<Completion, StoreError> {
        Ok(Completion::Superseded)
    }

    async fn release(&self, _: &Claim) -> Result<(), StoreError> {
        Ok(())
    }

    async fn abandon(&self, _: &Claim) -> Result<(), StoreError> {
        Ok(())
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_wakes_for_nothing_and_for_ever_is_asked_no_oftener_than_every_five_milliseconds()
 {
    let store = AlwaysHeld::default();
    let layer = IdempotencyLayer::new(store.clone()).wait(Duration::from_secs(1));
    let service = layer.layer(service_fn(async |_: Request<RequestBody<Body>>| {
        Ok::<_, Infallible>(response(201, "never"))
    }));
    let refused = service.oneshot(keyed("key")).await.unwrap();
    Answer::read(refused.map(Body::new))
        .await
        .assert_refused("in-flight");
    let asked = store.0.load(Ordering::Relaxed);
    assert!((100..=202).contains(&asked), "asked {asked} times");
}
