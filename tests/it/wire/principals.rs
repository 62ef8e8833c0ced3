use axum::body::Body;
use http::Request;
use tower_idempotency::Scope;

use crate::support::wire::{TestLayer, Wire, defaults, keyed, response, with};

/// What the second of two callers gets under the first one's key.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Second {
    /// The first one's answer: the two count as one.
    Replay,
    /// 422 `credentials-changed`.
    Refused,
    /// A run of its own.
    Runs,
}

use Second::{Refused, Replay, Runs};

type Caller = &'static [(&'static str, &'static str)];

/// Two callers, and what each configuration of `SETUPS` makes of the second.
type Row = (Caller, Caller, [Second; 8]);

const SETUPS: [fn(TestLayer) -> TestLayer; 8] = [
    defaults,
    TestLayer::unscoped,
    |layer| layer.scope(|parts| parts.headers.get("x-user").map(Scope::new)),
    |layer| layer.credential_headers(["x-user"]),
    |layer| layer.credential_headers(["authorization", "cookie"]),
    |layer| layer.credential_cookies(["sid"]),
    |layer| {
        layer
            .unscoped()
            .credential_headers(["x-user"])
            .credential_cookies(["sid", "tenant"])
    },
    |layer| layer.secret("secret"),
];

#[rustfmt::skip]
const ROWS: [Row; 14] = [
    // default, unscoped, scope, x-user, authorization+cookie, sid, x-user+sid+tenant, secret
    (&[("x-user", "ann")], &[("x-user", "ann")],
        [Replay, Replay, Replay, Replay, Replay, Replay, Replay, Replay]),
    (&[("x-user", "ann")], &[("x-user", "bob")],
        [Replay, Replay, Runs, Refused, Replay, Replay, Refused, Replay]),
    (&[("x-user", "u"), ("authorization", "Bearer a")], &[("x-user", "u"), ("authorization", "Bearer b")],
        [Refused, Replay, Replay, Replay, Refused, Refused, Replay, Refused]),
    (&[("x-user", "u"), ("authorization", "Bearer a")], &[("x-user", "u")],
        [Refused, Replay, Replay, Replay, Refused, Refused, Replay, Refused]),
    (&[("x-user", "u")], &[("x-user", "u"), ("x-api-key", "b")],
        [Refused, Replay, Replay, Replay, Replay, Refused, Replay, Refused]),
    (&[("x-user", "u"), ("api-key", "a")], &[("x-user", "u"), ("api-key", "b")],
        [Refused, Replay, Replay, Replay, Replay, Refused, Replay, Refused]),
    (&[("x-user", "u"), ("x-auth-token", "a")], &[("x-user", "u"), ("x-auth-token", "b")],
        [Refused, Replay, Replay, Replay, Replay, Refused, Replay, Refused]),
    // The same credential in another field is another credential.
    (&[("x-user", "u"), ("x-api-key", "a")], &[("x-user", "u"), ("api-key", "a")],
        [Refused, Replay, Replay, Replay, Replay, Refused, Replay, Refused]),
    (&[("x-user", "u"), ("authorization", "a")], &[("x-user", "u"), ("authorization", "a"), ("authorization", "a")],
        [Refused, Replay, Replay, Replay, Refused, Refused, Replay, Refused]),
    (&[("x-user", "u"), ("cookie", "sid=1")], &[("x-user", "u"), ("cookie", "sid=2")],
        [Refused, Replay, Replay, Replay, Refused, Refused, Refused, Refused]),
    (&[("x-user", "u"), ("cookie", "sid=1; theme=dark")], &[("x-user", "u"), ("cookie", "theme=light; sid=1")],
        [Refused, Replay, Replay, Replay, Refused, Replay, Replay, Refused]),
    // HTTP/2 may send each cookie in a field of its own.
    (&[("x-user", "u"), ("cookie", "sid=1; tenant=t")], &[("x-user", "u"), ("cookie", "sid=1"), ("cookie", "tenant=t")],
        [Replay, Replay, Replay, Replay, Replay, Replay, Replay, Replay]),
    (&[("x-user", "u"), ("cookie", "sid=1; tenant=t")], &[("x-user", "u"), ("cookie", "sid=1; tenant=v")],
        [Refused, Replay, Replay, Replay, Refused, Replay, Refused, Refused]),
    (&[("x-user", "u"), ("cookie", "side=1; sid=1")], &[("x-user", "u"), ("cookie", "side=2; sid=1")],
        [Refused, Replay, Replay, Replay, Refused, Replay, Replay, Refused]),
];

fn of(caller: Caller) -> Request<Body> {
    caller.iter().fold(keyed("key"), |request, (name, value)| {
        with(request, name, value)
    })
}

/// A handler whose answer is for its caller alone.
#[expect(clippy::needless_pass_by_value, reason = "it is a handler")]
fn own_answer(request: Request<Body>) -> std::future::Ready<http::Response<Body>> {
    let mut headers = request.headers().clone();
    headers.remove("content-length");
    std::future::ready(response(201, format!("{headers:?}")))
}

#[tokio::test]
async fn a_second_caller_gets_a_run_or_a_refusal_and_never_the_answer_of_the_first() {
    for (number, (first, second, expected)) in ROWS.into_iter().enumerate() {
        for (setup, (which, expected)) in SETUPS.into_iter().zip(expected.into_iter().enumerate()) {
            for wire in Wire::both(setup, own_answer) {
                let firsts = wire.send(of(first)).await;
                assert_eq!(firsts.status, 201);
                let seconds = wire.send(of(second)).await;
                let (what, runs) = match (seconds.code(), seconds.is_replay()) {
                    (None, true) => (Replay, 1),
                    (None, false) => (Runs, 2),
                    (Some("credentials-changed"), false) => (Refused, 1),
                    other => panic!("{other:?}"),
                };
                assert_eq!(what, expected, "row {number}, configuration {which}");
                assert_eq!(wire.runs(), runs);
                assert_eq!(
                    what == Replay,
                    seconds.body == firsts.body || first == second
                );
                let again = wire.send(of(first)).await;
                assert!(again.is_replay() && again.body == firsts.body);
            }
        }
    }
}

#[tokio::test]
async fn where_a_scope_is_set_a_caller_without_one_is_refused_and_never_shares_a_key() {
    for wire in Wire::both(SETUPS[2], own_answer) {
        wire.send(of(&[("x-user", "")])).await;
        for _ in 0..2 {
            wire.send(of(&[("authorization", "Bearer a")]))
                .await
                .assert_refused("missing-principal");
        }
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test]
async fn another_request_with_other_credentials_is_a_mismatch_and_tells_no_more() {
    for wire in Wire::both(defaults, own_answer) {
        wire.send(of(&[("authorization", "Bearer a")])).await;
        let other = of(&[("authorization", "Bearer b")]).map(|_| Body::from("amount=2"));
        wire.send(other)
            .await
            .assert_refused("fingerprint-mismatch");
        assert_eq!(wire.runs(), 1);
    }
}
