use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use futures_util::FutureExt;
use http::Request;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_idempotency::{IdempotencyLayer, RequestBody};

use crate::support::{
    bodies::streamed,
    faulty_store::{Fault, FaultyStore, Op},
    scene::{asked, obedient},
    wire::{Gate, TestLayer, Wire, defaults, keyed, until},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_gets_its_result_on_retry() {
    for router in [false, true] {
        let gate = Gate::default();
        let wire = Wire::of(router, defaults, obedient(&gate));
        wire.start(asked(keyed("key"), "hold")).await.abort();
        sleep(60 * SECOND).await;
        wire.send(keyed("key")).await.assert_refused("in-flight");
        gate.open();
        until(|| wire.drain.in_flight() == 0).await;
        let retry = wire.send(keyed("key")).await;
        assert_eq!(
            (retry.text(), retry.is_replay(), wire.runs()),
            ("paid late", true, 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_result_is_saved_gets_it_on_retry() {
    for router in [false, true] {
        let wire = Wire::of(router, defaults, obedient(&Gate::default()));
        wire.store.next(Op::Complete, Fault::Late(SECOND));
        let leaving = wire.spawn(keyed("key"));
        until(|| wire.store.count(Op::Complete) == 1).await;
        leaving.abort();
        sleep(2 * SECOND).await;
        assert!(wire.send(keyed("key")).await.is_replay());
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_during_its_claim_gets_nothing_done_and_its_key_is_free() {
    for fault in [Fault::Late(SECOND), Fault::RepliesLate(SECOND)] {
        for router in [false, true] {
            let wire = Wire::of(router, defaults, obedient(&Gate::default()));
            wire.store.next(Op::Claim, fault);
            let leaving = wire.spawn(keyed("key"));
            until(|| wire.store.count(Op::Claim) == 1).await;
            leaving.abort();
            sleep(2 * SECOND).await;
            assert_eq!(wire.store.calls(), [Op::Claim, Op::Release], "{fault:?}");
            assert_eq!((wire.runs(), wire.drain.in_flight()), (0, 0));
            assert_eq!(wire.send(keyed("key")).await.text(), "paid");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_body_is_read_leaves_no_trace() {
    for router in [false, true] {
        let wire = Wire::of(router, defaults, obedient(&Gate::default()));
        let (_sender, body) = streamed();
        let reading = wire.spawn(keyed("key").map(|_| body));
        sleep(SECOND).await;
        assert_eq!(wire.drain.in_flight(), 0, "no permit while a body is read");
        reading.abort();
        assert!(reading.await.unwrap_err().is_cancelled());
        sleep(SECOND).await;
        assert_eq!((wire.runs(), wire.store.calls()), (0, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_clients_that_hang_up_take_no_more_than_the_permits_there_are() {
    let gate = Gate::default();
    let wire = Wire::plain(|layer: TestLayer| layer.max_in_flight(8), obedient(&gate));
    for number in 0..60_usize {
        let request = asked(keyed(&number.to_string()), "hold");
        if number < 8 {
            wire.start(request).await.abort();
        } else {
            wire.send(request).await.assert_refused("overloaded");
        }
        assert!(wire.drain.in_flight() <= 8);
    }
    assert_eq!(wire.runs(), 8);
    gate.open();
    until(|| wire.drain.in_flight() == 0).await;
    for number in 0..60_usize {
        assert_eq!(
            wire.send(keyed(&number.to_string())).await.is_replay(),
            number < 8
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_outside_of_a_runtime_does_not_panic_and_the_work_goes_on() {
    let gate = Gate::default();
    let wire = Wire::plain(defaults, obedient(&gate));
    let mut response = Box::pin(wire.respond(asked(keyed("key"), "hold")));
    while wire.runs() == 0 {
        assert!(response.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    std::thread::spawn(move || drop(response))
        .join()
        .expect("no panic");
    gate.open();
    until(|| wire.drain.in_flight() == 0).await;
    assert!(wire.send(keyed("key")).await.is_replay());
}

#[tokio::test]
async fn a_response_that_is_never_polled_does_nothing() {
    let store = FaultyStore::default();
    let handler = obedient(&Gate::default());
    let inner = service_fn(move |request: Request<RequestBody<Body>>| {
        handler(request.map(Body::new)).map(Ok::<_, Infallible>)
    });
    let mut service = IdempotencyLayer::new(store.clone()).layer(inner);
    drop(service.ready().await.unwrap().call(keyed("key")));
    tokio::task::yield_now().await;
    assert_eq!(store.calls(), []);
    let response = service
        .ready()
        .await
        .unwrap()
        .call(keyed("key"))
        .await
        .unwrap();
    assert!(!response.headers().contains_key("idempotency-replayed"));
}
