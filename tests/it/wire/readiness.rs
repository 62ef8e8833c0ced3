use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use futures_util::future::{Ready, ready};
use http::{Request, Response};
use tokio::time::{Instant, sleep, timeout};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer,
    limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer, service_fn,
};
use tower_idempotency::{IdempotencyLayer, MemoryStore, RequestBody, ResponseBody};

use crate::support::{
    faulty_store::FaultyStore,
    scene::{asked, obedient},
    wire::{Answer, Gate, keyed, response, unkeyed, until},
};

/// Counts what becomes of the readiness of its clones; panics where an unready one is called.
struct Picky {
    ready: bool,
    reserved: Arc<AtomicUsize>,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            reserved: Arc::clone(&self.reserved),
        }
    }
}

impl Service<Request<RequestBody<Body>>> for Picky {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !std::mem::replace(&mut self.ready, true) {
            self.reserved.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Body>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        ready(Ok(response(200, "ok")))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let reserved = Arc::new(AtomicUsize::new(0));
    let picky = Picky {
        ready: false,
        reserved: Arc::clone(&reserved),
    };
    let mut service = IdempotencyLayer::new(MemoryStore::new()).layer(picky);
    for (number, request) in [keyed("a"), unkeyed(), keyed("b"), unkeyed()]
        .into_iter()
        .enumerate()
    {
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            reserved.load(Ordering::Relaxed),
            number + 1,
            "one readiness for each call"
        );
    }
}

/// A service that all of these tests send requests to, through what limits it.
macro_rules! limited {
    ($gate:expr, $limit:expr, $setup:expr) => {{
        let handler = obedient($gate);
        let inner = service_fn(move |request: Request<RequestBody<Body>>| {
            let response = handler(request.map(Body::new));
            async move { Ok::<_, Infallible>(response.await) }
        });
        let setup: fn(IdempotencyLayer<FaultyStore>) -> IdempotencyLayer<FaultyStore> = $setup;
        let store = FaultyStore::default();
        let layer = setup(IdempotencyLayer::new(store.clone()));
        (
            ServiceBuilder::new()
                .layer(layer)
                .layer($limit)
                .service(inner),
            store,
        )
    }};
}

async fn send<S>(service: &S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<ResponseBody<Body>>> + Clone,
    S::Error: std::fmt::Debug,
{
    Answer::read(
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .map(Body::new),
    )
    .await
}

#[tokio::test]
async fn limits_inside_go_round_however_many_requests_pass() {
    let gate = Gate::default();
    let (limited, _) = limited!(&gate, ConcurrencyLimitLayer::new(1), |layer| layer);
    let (buffered, _) = limited!(&gate, BufferLayer::new(1), |layer| layer);
    for number in 0..20 {
        for key in [format!("{number}"), format!("{number}"), "same".to_owned()] {
            assert_eq!(send(&limited, keyed(&key)).await.status, 201);
            assert_eq!(send(&buffered, keyed(&key)).await.status, 201);
        }
        assert_eq!(send(&limited, unkeyed()).await.status, 201);
        assert_eq!(send(&buffered, unkeyed()).await.status, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_holds_back_what_is_over_it() {
    let gate = Gate::default();
    let (service, _) = limited!(&gate, ConcurrencyLimitLayer::new(1), |layer| layer);
    let held = tokio::spawn({
        let service = service.clone();
        async move { send(&service, asked(keyed("a"), "hold")).await }
    });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let second = send(&service, keyed("b"));
    assert!(
        timeout(Duration::from_secs(1), second).await.is_err(),
        "the limit is taken"
    );
    gate.open();
    assert_eq!(held.await.unwrap().status, 201);
    assert_eq!(send(&service, keyed("b")).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_gives_its_place_in_the_inner_service_back() {
    let gate = Gate::default();
    let (service, store) = limited!(&gate, ConcurrencyLimitLayer::new(2), |layer| layer
        .wait(Duration::from_secs(5)));
    let spawn = |request| {
        let service = service.clone();
        tokio::spawn(async move { send(&service, request).await })
    };
    let owner = spawn(asked(keyed("key"), "hold"));
    tokio::task::yield_now().await;
    let waiters: Vec<_> = (0..5).map(|_| spawn(keyed("key"))).collect();
    until(|| store.listeners() == waiters.len()).await;
    let other = timeout(Duration::from_secs(1), send(&service, keyed("other")));
    assert_eq!(other.await.expect("the second place is free").status, 201);
    gate.open();
    assert!(!owner.await.unwrap().is_replay());
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_replay());
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_does_not_wait_longer_for_an_inner_service_that_is_never_ready() {
    let gate = Gate::default();
    let inner = service_fn({
        let gate = gate.clone();
        move |request: Request<RequestBody<Body>>| {
            let (gate, keyed) = (
                gate.clone(),
                request.headers().contains_key("idempotency-key"),
            );
            async move {
                if !keyed {
                    std::future::pending::<()>().await;
                }
                gate.pass().await;
                Ok::<_, Infallible>(response(503, "not now"))
            }
        }
    });
    let store = FaultyStore::default();
    let layer = IdempotencyLayer::new(store.clone()).wait(Duration::from_secs(5));
    let service = layer.layer(ConcurrencyLimitLayer::new(2).layer(inner));
    let spawn = |request| {
        let service = service.clone();
        tokio::spawn(async move { send(&service, request).await })
    };
    let owner = spawn(keyed("key"));
    until(|| store.calls().len() == 1).await;
    let waiter = spawn(keyed("key"));
    until(|| store.listeners() == 1).await;
    let began = Instant::now();
    // One takes the waiter's place for good; the other queues for the owner's.
    let _for_good = [spawn(unkeyed()), spawn(unkeyed())];
    sleep(Duration::from_secs(1)).await;
    gate.open();
    assert_eq!(owner.await.unwrap().status, 503);
    let refused = timeout(Duration::from_secs(60), waiter)
        .await
        .expect("it waits no longer");
    refused.unwrap().assert_refused("overloaded");
    let took = began.elapsed();
    assert!(took <= Duration::from_millis(5_002), "{took:?}");
}

#[tokio::test]
async fn an_error_of_load_shedding_inside_reaches_the_caller_and_the_key_stays_usable() {
    let gate = Gate::default();
    let inner = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn({
            let handler = obedient(&gate);
            move |request: Request<RequestBody<Body>>| {
                let response = handler(request.map(Body::new));
                async move { Ok::<_, Infallible>(response.await) }
            }
        }));
    let service = IdempotencyLayer::new(MemoryStore::new()).layer(inner);
    let held = tokio::spawn(service.clone().oneshot(asked(keyed("a"), "hold")));
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let shed: BoxError = service.clone().oneshot(keyed("b")).await.unwrap_err();
    assert!(shed.is::<tower::load_shed::error::Overloaded>(), "{shed}");
    gate.open();
    assert_eq!(held.await.unwrap().unwrap().status(), 201);
    assert_eq!(service.oneshot(keyed("b")).await.unwrap().status(), 201);
}
