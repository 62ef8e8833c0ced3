use axum::body::Body;
use http::{HeaderValue, Method, Request, Uri, Version, header};

use crate::support::{
    bodies::{End, chunked},
    wire::{TestLayer, Wire, answers, defaults, keyed, response, with},
};

type Change = fn(Request<Body>) -> Request<Body>;

/// The code of a refusal, and whether it was a replay.
type Second = (Option<&'static str>, bool);

fn to(request: Request<Body>, uri: &str) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    parts.uri = uri.parse().unwrap();
    Request::from_parts(parts, body)
}

fn typed(mut request: Request<Body>, content_type: &'static str) -> Request<Body> {
    let content_type = HeaderValue::from_static(content_type);
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    request
}

/// Sends the usual request, then a changed one under the same key.
async fn second(
    setup: impl Fn(TestLayer) -> TestLayer,
    first: Change,
    change: Change,
) -> Vec<Second> {
    let mut seconds = Vec::new();
    for wire in Wire::both(setup, answers(|| response(201, "paid"))) {
        assert_eq!(wire.send(first(keyed("key"))).await.status, 201);
        let second = wire.send(change(keyed("key"))).await;
        assert_eq!(wire.runs(), 1, "the handler does not run again");
        assert!(
            wire.send(first(keyed("key"))).await.is_replay(),
            "the record stays as it was"
        );
        seconds.push((second.code(), second.is_replay()));
    }
    seconds
}

const MISMATCH: Second = (Some("fingerprint-mismatch"), false);
const SAME: Second = (None, true);

#[rustfmt::skip]
const CHANGES: [(&str, Change, Second); 23] = [
    ("nothing", |r| r, SAME),
    (
        "the method",
        |mut r| {
            *r.method_mut() = Method::PUT;
            r
        },
        MISMATCH,
    ),
    (
        "the path",
        |r| to(r, "http://shop.example/pay/?x=1"),
        MISMATCH,
    ),
    (
        "the path's case",
        |r| to(r, "http://shop.example/Pay?x=1"),
        MISMATCH,
    ),
    (
        "the query",
        |r| to(r, "http://shop.example/pay?x=2"),
        MISMATCH,
    ),
    ("no query", |r| to(r, "http://shop.example/pay"), MISMATCH),
    (
        "an empty query",
        |r| to(r, "http://shop.example/pay?"),
        MISMATCH,
    ),
    (
        "the authority",
        |r| to(r, "http://shop.test/pay?x=1"),
        MISMATCH,
    ),
    (
        "the port",
        |r| to(r, "http://shop.example:8080/pay?x=1"),
        MISMATCH,
    ),
    ("no authority", |r| to(r, "/pay?x=1"), MISMATCH),
    (
        "the authority's case",
        |r| to(r, "http://SHOP.example/pay?x=1"),
        SAME,
    ),
    (
        "the default port",
        |r| to(r, "http://shop.example:80/pay?x=1"),
        SAME,
    ),
    (
        "the default port of https",
        |r| to(r, "https://shop.example:443/pay?x=1"),
        SAME,
    ),
    (
        "the form of HTTP/1",
        |r| with(to(r, "/pay?x=1"), "host", "Shop.Example:80"),
        SAME,
    ),
    (
        "the version",
        |mut r| {
            *r.version_mut() = Version::HTTP_2;
            r
        },
        SAME,
    ),
    (
        "the content type",
        |r| typed(r, "application/json"),
        MISMATCH,
    ),
    (
        "another content type",
        |r| with(r, "content-type", "text/plain"),
        MISMATCH,
    ),
    (
        "the content encoding",
        |r| with(r, "content-encoding", "identity"),
        MISMATCH,
    ),
    ("another field", |r| with(r, "accept", "text/html"), SAME),
    ("the body", |r| r.map(|_| Body::from("amount=2")), MISMATCH),
    (
        "a longer body",
        |r| r.map(|_| Body::from("amount=1 ")),
        MISMATCH,
    ),
    ("no body", |r| r.map(|_| Body::empty()), MISMATCH),
    (
        "the chunks",
        |r| r.map(|_| chunked(&["am", "", "ount", "=1"], End::Clean)),
        SAME,
    ),
];

#[tokio::test]
async fn what_makes_another_request_is_refused_and_what_does_not_is_replayed() {
    for (what, change, expected) in CHANGES {
        for second in second(defaults, |r| r, change).await {
            assert_eq!(second, expected, "{what}");
        }
    }
}

#[tokio::test]
async fn http_1_and_http_2_name_one_authority() {
    let http_1: Change = |r| with(to(r, "/pay?x=1"), "host", "shop.example");
    let http_2: Change = |r| to(r, "https://shop.example/pay?x=1");
    let other: Change = |r| with(to(r, "/pay?x=1"), "host", "shop.test");
    for (change, expected) in [(http_2, SAME), (other, MISMATCH)] {
        assert_eq!(second(defaults, http_1, change).await, [expected; 2]);
    }
}

#[tokio::test]
async fn a_canonical_form_replaces_type_encoding_and_body_and_nothing_else() {
    let canonical = |layer: TestLayer| {
        layer.fingerprint(|parts, body| {
            assert_eq!(parts.headers["idempotency-key"], "key");
            let text = std::str::from_utf8(body).unwrap();
            text.split_whitespace().collect::<String>().into_bytes()
        })
    };
    let changes: [(&str, Change, Second); 7] = [
        ("blanks", |r| r.map(|_| Body::from(" amount = 1 ")), SAME),
        (
            "blanks in chunks",
            |r| r.map(|_| chunked(&["amount", " =", "1"], End::Clean)),
            SAME,
        ),
        (
            "type and encoding",
            |r| with(typed(r, "a/b"), "content-encoding", "x"),
            SAME,
        ),
        (
            "what counts",
            |r| r.map(|_| Body::from("amount = 2")),
            MISMATCH,
        ),
        (
            "the path",
            |r| to(r, "http://shop.example/other?x=1"),
            MISMATCH,
        ),
        (
            "the method",
            |mut r| {
                *r.method_mut() = Method::PATCH;
                r
            },
            MISMATCH,
        ),
        (
            "the credentials",
            |r| with(r, "authorization", "x"),
            (Some("credentials-changed"), false),
        ),
    ];
    for (what, change, expected) in changes {
        assert_eq!(
            second(canonical, |r| r, change).await,
            [expected; 2],
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_canonical_form_may_be_empty() {
    for wire in Wire::both(
        |layer| {
            layer.fingerprint(|_, body| {
                if body == "whole" {
                    vec![]
                } else {
                    body.to_vec()
                }
            })
        },
        answers(|| response(201, "paid")),
    ) {
        wire.send(keyed("key").map(|_| Body::from("whole"))).await;
        assert!(
            wire.send(keyed("key").map(|_| Body::empty()))
                .await
                .is_replay()
        );
        let other = wire.send(keyed("key").map(|_| Body::from("other"))).await;
        other.assert_refused("fingerprint-mismatch");
    }
}

#[tokio::test]
async fn a_target_of_the_users_own_is_what_counts() {
    let setup = |layer: TestLayer| {
        layer.target(|parts| {
            let original = parts
                .headers
                .get("x-original")
                .map(|uri| uri.to_str().unwrap());
            original.unwrap_or("/none").parse::<Uri>().unwrap()
        })
    };
    let at_a: Change = |r| with(r, "x-original", "/a");
    let moved: Change = |r| with(to(r, "http://shop.example/moved"), "x-original", "/a");
    let at_b: Change = |r| with(r, "x-original", "/b");
    let elsewhere: Change = |r| with(to(r, "http://shop.test/pay?x=1"), "x-original", "/a");
    for (change, expected) in [(moved, SAME), (at_b, MISMATCH), (elsewhere, MISMATCH)] {
        assert_eq!(second(setup, at_a, change).await, [expected; 2]);
    }
}

#[tokio::test]
async fn namespaces_and_secrets_keep_keys_apart_on_one_store() {
    let store = crate::support::faulty_store::FaultyStore::default();
    let setups: [fn(TestLayer) -> TestLayer; 5] = [
        defaults,
        |layer| layer.namespace("a"),
        |layer| layer.namespace("b"),
        |layer| layer.secret("a"),
        |layer| layer.secret("b"),
    ];
    for setup in setups {
        let wire = Wire::on(&store, setup, answers(|| response(201, "paid")));
        assert!(!wire.send(keyed("key")).await.is_replay());
        assert!(wire.send(keyed("key")).await.is_replay());
    }
    let mut claims: Vec<_> = store.claims().iter().map(|(name, _)| *name).collect();
    claims.sort();
    claims.dedup();
    assert_eq!(claims.len(), setups.len());
}

#[cfg(feature = "axum")]
mod nested {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, extract::Path, routing::post};
    use tower::ServiceExt;
    use tower_idempotency::{IdempotencyLayer, MemoryStore};

    use super::to;
    use crate::support::wire::{Answer, keyed};

    #[tokio::test]
    async fn two_accounts_under_a_nested_router_never_share_an_answer() {
        let runs = Arc::new(AtomicUsize::new(0));
        let handler = {
            let runs = Arc::clone(&runs);
            move |Path(id): Path<String>| {
                runs.fetch_add(1, Ordering::Relaxed);
                async move { format!("charged {id}") }
            }
        };
        let layer = IdempotencyLayer::new(MemoryStore::new());
        let charge = || post(handler.clone());
        let routers = [
            Router::new().nest(
                "/accounts/{id}",
                Router::new()
                    .route("/charge", charge())
                    .layer(layer.clone().namespace("a")),
            ),
            Router::new().nest(
                "/accounts/{id}",
                Router::new()
                    .route("/charge", charge())
                    .route_layer(layer.clone().namespace("b")),
            ),
            Router::new().nest(
                "/accounts",
                Router::new().nest(
                    "/{id}",
                    Router::new().route("/charge", charge().layer(layer.clone().namespace("c"))),
                ),
            ),
            Router::new()
                .route("/accounts/{id}/charge", charge())
                .layer(layer.namespace("d")),
        ];
        for router in routers {
            let send = async |id: u32| {
                let request = to(keyed("key"), &format!("/accounts/{id}/charge"));
                Answer::read(router.clone().oneshot(request).await.unwrap()).await
            };
            assert_eq!(send(1).await.text(), "charged 1");
            send(2).await.assert_refused("fingerprint-mismatch");
            assert_eq!(
                (send(1).await.text(), send(1).await.is_replay()),
                ("charged 1", true)
            );
        }
        assert_eq!(runs.load(Ordering::Relaxed), 4);
    }
}
