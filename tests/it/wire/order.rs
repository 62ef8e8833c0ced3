//! Where another layer goes, inside or outside, and what comes of it.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use tokio::time::sleep;
use tower::{ServiceExt, limit::GlobalConcurrencyLimitLayer};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, timeout::TimeoutLayer,
};
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, Scope};

use crate::support::{
    faulty_store::{FaultyStore, Op},
    scene::{asked, obedient},
    wire::{Answer, Gate, keyed, response, until, with},
};

const SECOND: Duration = Duration::from_secs(1);

/// A router with the idempotency layer, and another layer on one side of it.
macro_rules! ordered {
    (inside $other:expr, $layer:expr, $handler:expr) => {
        Router::new().fallback($handler).layer($other).layer($layer)
    };
    (outside $other:expr, $layer:expr, $handler:expr) => {
        Router::new().fallback($handler).layer($layer).layer($other)
    };
}

fn layer(store: &FaultyStore) -> IdempotencyLayer<FaultyStore> {
    IdempotencyLayer::new(store.clone())
}

async fn send(router: &Router, request: Request) -> Answer {
    Answer::read(router.clone().oneshot(request).await.unwrap()).await
}

fn timeout_of_a_second() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_lets_the_work_end_and_the_retry_has_its_result() {
    let (store, gate) = (FaultyStore::default(), Gate::default());
    let router = ordered!(outside timeout_of_a_second(), layer(&store), obedient(&gate));
    assert_eq!(send(&router, asked(keyed("key"), "hold")).await.status, 504);
    gate.open();
    until(|| store.count(Op::Complete) == 1).await;
    let retry = send(&router, keyed("key")).await;
    assert_eq!((retry.text(), retry.is_replay()), ("paid late", true));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_kills_the_handler_and_leaves_the_outcome_unknown() {
    let (store, gate) = (FaultyStore::default(), Gate::default());
    let router = ordered!(inside timeout_of_a_second(), layer(&store), obedient(&gate));
    assert_eq!(send(&router, asked(keyed("key"), "hold")).await.status, 504);
    assert_eq!(store.calls(), [Op::Claim, Op::Abandon]);
    let retry = send(&router, keyed("key")).await;
    assert_eq!(
        (retry.text(), retry.is_replay()),
        ("paid", false),
        "it runs again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_500_and_unknown_wherever_it_is_caught() {
    let gate = Gate::default();
    let stores = [FaultyStore::default(), FaultyStore::default()];
    let catch = CatchPanicLayer::new;
    let routers = [
        ordered!(inside catch(), layer(&stores[0]), obedient(&gate)),
        ordered!(outside catch(), layer(&stores[1]), obedient(&gate)),
    ];
    for (router, store) in routers.iter().zip(stores) {
        assert_eq!(send(router, asked(keyed("key"), "panic")).await.status, 500);
        assert_eq!(store.calls(), [Op::Claim, Op::Abandon]);
        assert_eq!(send(router, keyed("key")).await.text(), "paid");
    }
}

fn long() -> Response {
    let mut response = response(200, "compress me ".repeat(100));
    response
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    response
}

#[tokio::test]
async fn compression_outside_gives_each_client_what_it_accepts_and_inside_what_was_recorded() {
    let gzip = || with(keyed("key"), "accept-encoding", "gzip");
    let stores = [FaultyStore::default(), FaultyStore::default()];
    let handler = async || long();
    let outside = ordered!(outside CompressionLayer::new(), layer(&stores[0]), handler);
    let inside = ordered!(inside CompressionLayer::new(), layer(&stores[1]), handler);

    for (router, second) in [(outside, None), (inside, Some("gzip"))] {
        let first = send(&router, gzip()).await;
        assert_eq!(first.header("content-encoding"), Some("gzip"));
        let plain = send(&router, keyed("key")).await;
        assert!(plain.is_replay());
        assert_eq!(plain.header("content-encoding"), second);
        assert_eq!(plain.body.starts_with(b"compress me"), second.is_none());
        let again = send(&router, gzip()).await;
        assert_eq!(
            (again.header("content-encoding"), &again.body),
            (Some("gzip"), &first.body)
        );
    }
}

#[derive(Clone)]
struct User(String);

/// Lets in who has a token, until the token is revoked.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let token = request
        .headers()
        .get("authorization")
        .map(|token| token.to_str().unwrap());
    match token {
        Some("revoked") | None => StatusCode::UNAUTHORIZED.into_response(),
        Some(token) => {
            let user = User(token.to_owned());
            request.extensions_mut().insert(user);
            next.run(request).await
        }
    }
}

#[tokio::test]
async fn authentication_outside_is_asked_before_every_replay_and_its_user_is_the_scope() {
    let store = FaultyStore::default();
    let scoped = layer(&store).scope(|parts| {
        let User(name) = parts.extensions.get()?;
        Some(Scope::new(name))
    });
    let handler = async |request: Request| request.extensions().get::<User>().unwrap().0.clone();
    let router = ordered!(outside from_fn(authenticate), scoped, handler);
    let by = |user| with(keyed("key"), "authorization", user);
    for replayed in [false, true] {
        for user in ["ann", "bob"] {
            let answer = send(&router, by(user)).await;
            assert_eq!((answer.text(), answer.is_replay()), (user, replayed));
        }
    }
    assert_eq!(send(&router, by("revoked")).await.status, 401);
    assert_eq!(send(&router, keyed("key")).await.status, 401);
}

#[tokio::test]
async fn authentication_inside_is_not_asked_before_a_replay() {
    let store = FaultyStore::default();
    let handler = async || "paid";
    let router = ordered!(inside from_fn(authenticate), layer(&store).unscoped(), handler);
    let by = |user| with(keyed("key"), "authorization", user);
    assert_eq!(send(&router, by("revoked")).await.status, 401);
    assert_eq!(
        store.calls(),
        [Op::Claim, Op::Release],
        "and a refusal is not recorded"
    );
    assert_eq!(send(&router, by("ann")).await.text(), "paid");
    assert!(
        send(&router, by("revoked")).await.is_replay(),
        "which is why it goes outside"
    );
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_outside_is_given_back_by_a_client_that_left_and_inside_it_is_not() {
    for (inside, next) in [(false, true), (true, false)] {
        let (store, gate) = (FaultyStore::default(), Gate::default());
        let limit = GlobalConcurrencyLimitLayer::new(1);
        let router = if inside {
            ordered!(inside limit, layer(&store), obedient(&gate))
        } else {
            ordered!(outside limit, layer(&store), obedient(&gate))
        };
        let leaving = tokio::spawn({
            let router = router.clone();
            async move { send(&router, asked(keyed("key"), "hold")).await }
        });
        until(|| store.calls() == [Op::Claim]).await;
        sleep(SECOND).await;
        leaving.abort();
        let other = tokio::time::timeout(SECOND, send(&router, keyed("other"))).await;
        assert_eq!(other.is_ok(), next, "inside: {inside}");
        gate.open();
        until(|| store.count(Op::Complete) == 2).await;
        assert!(send(&router, keyed("key")).await.is_replay());
    }
}

tokio::task_local! {
    static REQUEST_ID: u32;
}

async fn with_task_local(request: Request, next: Next) -> Response {
    REQUEST_ID.scope(7, next.run(request)).await
}

/// Tells what the task-local is after a while.
async fn tell_task_local(request: Request<Body>) -> String {
    assert!(request.extensions().get::<IdempotencyContext>().is_some());
    sleep(SECOND).await;
    REQUEST_ID
        .try_with(|id| format!("{id}"))
        .unwrap_or_else(|_| "none".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_task_local_set_inside_survives_a_hang_up_and_one_set_outside_does_not() {
    for (inside, after_hang_up) in [(true, "7"), (false, "none")] {
        let store = FaultyStore::default();
        let router = if inside {
            ordered!(inside from_fn(with_task_local), layer(&store), tell_task_local)
        } else {
            ordered!(outside from_fn(with_task_local), layer(&store), tell_task_local)
        };
        assert_eq!(send(&router, keyed("stays")).await.text(), "7");
        let leaves = tokio::time::timeout(SECOND / 2, send(&router, keyed("leaves"))).await;
        assert!(leaves.is_err());
        until(|| store.count(Op::Claim) == 2).await;
        sleep(SECOND).await;
        assert_eq!(send(&router, keyed("leaves")).await.text(), after_hang_up);
    }
}
