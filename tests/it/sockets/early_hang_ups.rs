//! Clients that go before their handler has started, or while they wait for another's.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};
use tower_idempotency::{IdempotencyLayer, MemoryStore, RequestBody};

use crate::support::sockets::{
    Client, Gate, HangUp, PATIENCE, Probe, Server, Staged, Step, app, gated, keyed,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gone_before_its_handler_starts_gets_nothing_done() {
    for hang_up in HangUp::ALL {
        let probe = Probe::default();
        let store = Staged::new(&probe);
        let layer = IdempotencyLayer::new(store.clone());
        let drain = layer.drain_handle();
        let handler = gated(&probe, &Gate::new_open());
        let server = Server::start(app(&probe, layer, handler)).await;

        store.claims.close();
        let begun = Client::connect_for(server.address, hang_up)
            .await
            .begin(keyed("a"));
        probe.until(Step::ClaimBegins, 1).await;
        let _gone = begun.hang_up(hang_up).await;
        probe.until(Step::ClientGone, 1).await;
        assert_eq!(drain.in_flight(), 1, "{hang_up:?}");
        store.claims.open();
        probe.until(Step::Released, 1).await;
        assert_eq!(probe.runs("a"), 0, "{hang_up:?}");

        let mut client = Client::connect(server.address, hang_up.version()).await;
        let retry = client.post("a").await;
        assert_eq!(retry.body, "run 1 of a", "{hang_up:?}");
        assert!(!retry.is_replayed(), "{hang_up:?}");
        assert_eq!(drain.drain(PATIENCE).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_waits_for_the_release_of_a_claim_whose_client_is_gone() {
    let probe = Probe::default();
    let store = Staged::new(&probe);
    let layer = IdempotencyLayer::new(store.clone());
    let drain = layer.drain_handle();
    let handler = gated(&probe, &Gate::new_open());
    let server = Server::start(app(&probe, layer, handler)).await;

    store.claims.close();
    store.releases.close();
    let client = Client::connect_for(server.address, HangUp::Close).await;
    let begun = client.begin(keyed("a"));
    probe.until(Step::ClaimBegins, 1).await;
    drop(begun.hang_up(HangUp::Close).await);
    probe.until(Step::ClientGone, 1).await;
    store.claims.open();
    probe.until(Step::ReleaseBegins, 1).await;
    assert_eq!(drain.in_flight(), 1);
    store.releases.open();
    assert_eq!(drain.drain(PATIENCE).await, Ok(()));
    assert_eq!(probe.count(Step::Released), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gone_while_its_claim_finds_an_owner_does_not_wait() {
    let probe = Probe::default();
    let store = Staged::new(&probe);
    let layer = IdempotencyLayer::new(store.clone()).wait(PATIENCE);
    let drain = layer.drain_handle();
    let gate = Gate::new_closed();
    let server = Server::start(app(&probe, layer, gated(&probe, &gate))).await;

    let owner = Client::connect_for(server.address, HangUp::Close).await;
    let _owner = owner.begin(keyed("a"));
    probe.until(Step::HandlerBegins, 1).await;
    store.claims.close();
    let waiter = Client::connect_for(server.address, HangUp::Close).await;
    let waiter = waiter.begin(keyed("a"));
    probe.until(Step::ClaimBegins, 2).await;
    drop(waiter.hang_up(HangUp::Close).await);
    probe.until(Step::ClientGone, 1).await;
    store.claims.open();
    gate.open();
    assert_eq!(drain.drain(PATIENCE).await, Ok(()));
    assert_eq!(probe.count(Step::ClaimBegins), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gone_while_it_waits_gives_its_place_back() {
    let probe = Probe::default();
    let store = Staged::new(&probe);
    let layer = IdempotencyLayer::new(store).wait(PATIENCE).max_waiting(1);
    let gate = Gate::new_closed();
    let server = Server::start(app(&probe, layer, gated(&probe, &gate))).await;

    let owner = Client::connect_for(server.address, HangUp::Close).await;
    let _owner = owner.begin(keyed("a"));
    probe.until(Step::HandlerBegins, 1).await;
    for (index, hang_up) in HangUp::ALL.into_iter().enumerate() {
        // A waiter claims once to find the owner, and once more after it began to listen.
        let claims = probe.count(Step::ClaimEnds);
        let waiter = Client::connect_for(server.address, hang_up).await;
        let waiter = waiter.begin(keyed("a"));
        probe.until(Step::ClaimEnds, claims + 2).await;
        let _gone = waiter.hang_up(hang_up).await;
        probe.until(Step::ClientGone, index + 1).await;
    }
    gate.open();
    let mut client = Client::connect(server.address, HangUp::Close.version()).await;
    assert_eq!(client.post("a").await.body, "run 1 of a");
}

#[test]
fn a_response_future_dropped_outside_a_runtime_lets_its_handler_end() {
    let (probe, gate) = (Probe::default(), Gate::new_closed());
    let runtime = Runtime::new().unwrap();
    let future = runtime.block_on(begin(&probe, &gate));
    drop(future);
    gate.open();
    runtime.block_on(probe.until(Step::HandlerEnds, 1));
    assert_eq!(probe.count(Step::HandlerDropped), 0);
}

#[test]
fn a_response_future_dropped_after_its_runtime_does_not_panic() {
    let (probe, gate) = (Probe::default(), Gate::new_closed());
    let runtime = Runtime::new().unwrap();
    let future = runtime.block_on(begin(&probe, &gate));
    drop(runtime);
    drop(future);
    assert_eq!(probe.count(Step::HandlerDropped), 1);
}

/// Polls a response future until its handler has begun.
async fn begin(probe: &Probe, gate: &Gate) -> impl Future + use<> {
    let (running, passing) = (probe.clone(), gate.clone());
    let handler = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        let (probe, gate) = (running.clone(), passing.clone());
        async move {
            let running = probe.run("a");
            gate.pass().await;
            running.end();
            Ok::<_, String>(Response::new(Full::<Bytes>::default()))
        }
    });
    let mut service = IdempotencyLayer::new(MemoryStore::new()).layer(handler);
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    let mut future = Box::pin(service.call(keyed("a").body(Full::default()).unwrap()));
    while probe.count(Step::HandlerBegins) == 0 {
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        tokio::task::yield_now().await;
    }
    future
}
