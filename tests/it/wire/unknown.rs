use std::{
    convert::Infallible,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{runtime::Handle, time::advance};
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{IdempotencyLayer, MemoryStore, Outcome, RequestBody, UnknownOutcome};

use crate::support::{
    bodies::{End, chunked},
    faulty_store::{DOWN, Op},
    scene::{asked, obedient},
    wire::{Answer, Gate, TestLayer, Wire, defaults, gives, keyed, response, tells, with},
};

fn refuse(layer: TestLayer) -> TestLayer {
    layer.unknown_outcome(UnknownOutcome::Refuse)
}

/// What the handler saw: attempt, fence and downstream key.
fn seen(answer: &Answer) -> [&str; 3] {
    let seen: Vec<_> = answer.text().split(' ').collect();
    seen.try_into().unwrap_or_else(|_| panic!("{answer:?}"))
}

#[tokio::test]
async fn each_attempt_after_an_unknown_outcome_has_a_higher_fence_and_the_same_downstream_key() {
    for wire in Wire::both(defaults, tells) {
        let mut keys = Vec::new();
        for (status, attempt, fence) in [
            ("500", "1", "Some(1)"),
            ("408", "2", "Some(2)"),
            // Released, and the fence goes on counting all the same.
            ("503", "3", "Some(3)"),
            ("599", "4", "Some(4)"),
            ("200", "5", "Some(5)"),
        ] {
            let answer = wire.send(asked(keyed("key"), status)).await;
            assert_eq!(answer.status.to_string(), status);
            let [seen_attempt, seen_fence, key] = seen(&answer);
            assert_eq!((seen_attempt, seen_fence), (attempt, fence));
            keys.push(key.to_owned());
        }
        keys.dedup();
        assert_eq!(keys.len(), 1, "one downstream key for all attempts");
        assert!(wire.send(keyed("key")).await.is_replay());
    }
}

#[tokio::test]
async fn a_release_of_the_first_attempt_leaves_nothing_behind() {
    for wire in Wire::both(defaults, tells) {
        wire.send(asked(keyed("key"), "503")).await;
        assert_eq!(wire.store.memory.len(), 0);
        let answer = wire.send(keyed("key")).await;
        assert_eq!(seen(&answer)[..2], ["1", "Some(1)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_the_caller_and_its_key_is_free_at_once_for_the_next_attempt() {
    for setup in [defaults, refuse] {
        for wire in Wire::both(setup, obedient(&Gate::default())) {
            let panic = wire
                .spawn(asked(keyed("key"), "panic"))
                .await
                .unwrap_err()
                .into_panic();
            assert_eq!(panic.downcast_ref(), Some(&"asked to"));
            assert_eq!(wire.store.calls(), [Op::Claim, Op::Abandon]);
            let next = wire.send(keyed("key")).await;
            if wire.runs() == 1 {
                next.assert_refused("outcome-unknown");
            } else {
                assert_eq!((next.text(), wire.runs()), ("paid", 2));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_decides_after_every_kind_of_unknown_outcome() {
    for what in ["panic", "break", "500", "408", "504"] {
        for wire in Wire::both(refuse, obedient(&Gate::default())) {
            let _ = wire.spawn(asked(keyed("key"), what)).await;
            for _ in 0..2 {
                wire.send(keyed("key"))
                    .await
                    .assert_refused("outcome-unknown");
            }
            let other = keyed("key").map(|_| Body::from("amount=2"));
            wire.send(other)
                .await
                .assert_refused("fingerprint-mismatch");
            assert_eq!(wire.runs(), 1, "{what} is never repeated");
        }
        for wire in Wire::both(defaults, obedient(&Gate::default())) {
            let _ = wire.spawn(asked(keyed("key"), what)).await;
            let other = keyed("key").map(|_| Body::from("amount=2"));
            wire.send(other)
                .await
                .assert_refused("fingerprint-mismatch");
            assert_eq!(wire.send(keyed("key")).await.text(), "paid", "{what}");
            assert_eq!(wire.runs(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_repetition_is_refused_until_what_is_known_of_it_expires() {
    let setup = |layer| refuse(layer).ttl(Duration::from_secs(60));
    for wire in Wire::both(setup, obedient(&Gate::default())) {
        wire.send(asked(keyed("key"), "500")).await;
        advance(Duration::from_secs(59)).await;
        wire.send(keyed("key"))
            .await
            .assert_refused("outcome-unknown");
        advance(Duration::from_secs(12)).await;
        assert_eq!(wire.send(keyed("key")).await.text(), "paid");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_owner_dies_its_key_is_held_until_the_lease_has_passed() {
    for (setup, code) in [
        (defaults as fn(_) -> _, None),
        (refuse, Some("outcome-unknown")),
    ] {
        for wire in Wire::both(setup, obedient(&Gate::default())) {
            wire.store.always(Op::Renew, DOWN);
            let _dead = wire.start(asked(keyed("key"), "hold")).await;
            advance(Duration::from_millis(9_990)).await;
            wire.send(keyed("key")).await.assert_refused("in-flight");
            advance(Duration::from_millis(20)).await;
            let other = keyed("key").map(|_| Body::from("amount=2"));
            wire.send(other)
                .await
                .assert_refused("fingerprint-mismatch");
            let next = wire.send(keyed("key")).await;
            assert_eq!(next.code(), code);
            assert_eq!(wire.runs(), if code.is_some() { 1 } else { 2 });
        }
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_reaches_the_client_as_it_is() {
    for router in [false, true] {
        let broken = response(200, chunked(&["half", " way"], End::Broken));
        let wire = Wire::of(router, defaults, gives(broken));
        let first = wire.send(keyed("key")).await;
        assert_eq!(
            (first.status, first.text(), first.broke_off),
            (200, "half way", true)
        );
        assert_eq!(wire.store.calls(), [Op::Claim, Op::Abandon]);
        assert_eq!(wire.send(keyed("key")).await.text(), "ran again");
    }
}

#[tokio::test]
async fn a_handler_whose_response_breaks_off_may_know_its_outcome_all_the_same() {
    for (word, settlement) in [
        (Outcome::Final, Op::Complete),
        (Outcome::Retryable, Op::Release),
        (Outcome::Unknown, Op::Abandon),
    ] {
        for router in [false, true] {
            let mut broken = response(201, chunked(&["half"], End::Broken));
            broken.extensions_mut().insert(word);
            let wire = Wire::of(router, defaults, gives(broken));
            assert!(wire.send(keyed("key")).await.broke_off);
            assert_eq!(wire.store.calls(), [Op::Claim, settlement], "{word:?}");
            let next = wire.send(keyed("key")).await;
            if word == Outcome::Final {
                assert_eq!(
                    (next.status, next.header("idempotency-replay")),
                    (201, Some("omitted"))
                );
            } else {
                assert_eq!(next.text(), "ran again");
            }
        }
    }
}

/// An error of a service's own: it can be nothing else.
#[derive(Debug, PartialEq)]
struct OutOfOrder(u32);

impl fmt::Display for OutOfOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of order")
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_reaches_the_caller_in_its_own_type() {
    let inner = service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
        let context: &tower_idempotency::IdempotencyContext = request.extensions().get().unwrap();
        match context.attempt() {
            2 => Ok(Response::new(Full::new(Bytes::from("done")))),
            attempt => Err(OutOfOrder(attempt)),
        }
    });
    let service = IdempotencyLayer::new(MemoryStore::new()).layer(inner);
    let request = || keyed("key").map(|_| Full::new(Bytes::from("amount=1")));
    let error: OutOfOrder = service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(error, OutOfOrder(1));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200, "the next attempt runs at once");
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_an_await_leaves_no_task_behind() {
    let inner = service_fn(
        async |_: Request<RequestBody<Body>>| -> Result<Response<Body>, Infallible> {
            tokio::task::yield_now().await;
            panic!("asked to")
        },
    );
    let service = IdempotencyLayer::new(MemoryStore::new()).layer(inner);
    let mut response = Box::pin(service.oneshot(keyed("key")));
    while let Ok(None) = catch_unwind(AssertUnwindSafe(|| response.as_mut().now_or_never())) {
        tokio::task::yield_now().await;
    }
    let alive = || Handle::current().metrics().num_alive_tasks();
    let before = alive();
    drop(response);
    assert_eq!(
        alive(),
        before,
        "what has panicked does not go on in a task"
    );
}

#[tokio::test]
async fn a_downstream_key_differs_by_call_key_scope_namespace_and_layer_and_is_a_uuid() {
    let scoped = |layer: TestLayer| {
        layer.scope(|parts| {
            let user = parts.headers.get("x-user")?;
            Some(tower_idempotency::Scope::new(user))
        })
    };
    let of = async |wire: &Wire, key: &str, user: &str| {
        let answer = wire.send(with(keyed(key), "x-user", user)).await;
        seen(&answer)[2].to_owned()
    };
    let plain = Wire::router(scoped, tells);
    let named = Wire::router(|layer| scoped(layer).namespace("other"), tells);
    let keyed_digests = Wire::router(|layer| scoped(layer).secret("secret"), tells);
    let mut keys = vec![
        of(&plain, "key", "ann").await,
        of(&plain, "key", "bob").await,
        of(&plain, "other", "ann").await,
        of(&named, "key", "ann").await,
        of(&keyed_digests, "key", "ann").await,
    ];
    for key in &keys {
        let uuid = uuid::Uuid::parse_str(key).unwrap();
        assert_eq!(uuid.get_version_num(), 8);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(uuid.to_string(), *key);
    }
    assert_eq!(
        of(&plain, "\"key\"", "ann").await,
        keys[0],
        "quotes are no part of the key"
    );
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[tokio::test]
async fn two_calls_of_one_handler_have_two_downstream_keys() {
    let wire = Wire::router(defaults, |request: Request<Body>| {
        let context: &tower_idempotency::IdempotencyContext = request.extensions().get().unwrap();
        let (one, other) = (
            context.downstream_key("bank"),
            context.downstream_key("mail"),
        );
        std::future::ready(response(200, format!("{}", one != other)))
    });
    assert_eq!(wire.send(keyed("key")).await.text(), "true");
}

#[cfg(feature = "axum")]
mod extractor {
    use axum::{Router, routing::post};
    use tower::ServiceExt;
    use tower_idempotency::{IdempotencyContext, IdempotencyLayer, MemoryStore};

    use crate::support::wire::{Answer, keyed, unkeyed};

    #[tokio::test]
    async fn the_context_is_extracted_where_there_is_one_and_missing_is_500() {
        let bare = || {
            let always = async |context: IdempotencyContext| {
                format!("{} {}", context.key().as_str(), context.attempt())
            };
            let perhaps = async |context: Option<IdempotencyContext>| {
                context.map_or("none".to_owned(), |context| {
                    context.key().as_str().to_owned()
                })
            };
            Router::new()
                .route("/pay", post(always))
                .route("/perhaps", post(perhaps))
        };
        let layered = bare().layer(IdempotencyLayer::new(MemoryStore::new()));
        let to_perhaps = |mut request: http::Request<_>| {
            *request.uri_mut() = "/perhaps".parse().unwrap();
            request
        };
        for (router, request, status, text) in [
            (layered.clone(), keyed("\"k\""), 200, Some("k 1")),
            (layered.clone(), unkeyed(), 500, None),
            (bare(), keyed("k"), 500, None),
            (layered.clone(), to_perhaps(keyed("k2")), 200, Some("k2")),
            (layered, to_perhaps(unkeyed()), 200, Some("none")),
            (bare(), to_perhaps(keyed("k")), 200, Some("none")),
        ] {
            let answer = Answer::read(router.oneshot(request).await.unwrap()).await;
            assert_eq!(answer.status, status);
            assert!(text.is_none_or(|text| text == answer.text()), "{answer:?}");
        }
    }
}
