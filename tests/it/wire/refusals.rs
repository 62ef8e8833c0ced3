use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Method, header};
use serde_json::Value;
use tower_idempotency::Rejection;

use crate::support::{
    bodies::{End, chunked},
    faulty_store::Op,
    scene::{Refused, Scene},
    wire::{REFUSALS, TestLayer, Wire, answers, defaults, keyed, response, unkeyed, with},
};

const ROUTER: Scene<'_> = Scene {
    setup: &defaults,
    dress: |request| request,
    router: true,
};
const PLAIN: Scene<'_> = Scene {
    router: false,
    ..ROUTER
};

async fn refused_everywhere(code: &str) -> [Refused; 2] {
    let all = [PLAIN.refused(code).await, ROUTER.refused(code).await];
    for refused in &all {
        refused.answer.assert_refused(code);
        assert_eq!(refused.runs.0, refused.runs.1, "{code}: the handler's runs");
    }
    all
}

#[tokio::test(start_paused = true)]
async fn every_refusal_before_the_claim_leaves_the_store_and_the_handler_alone() {
    for code in [
        "missing-key",
        "invalid-key",
        "unreadable-body",
        "payload-too-large",
        "missing-principal",
        "overloaded",
        "draining",
    ] {
        for refused in refused_everywhere(code).await {
            assert_eq!(refused.calls, [], "{code}: nothing is claimed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_for_what_a_claim_found_changes_nothing() {
    for code in [
        "fingerprint-mismatch",
        "credentials-changed",
        "in-flight",
        "outcome-unknown",
        "effect-committed",
        "not-replayable",
    ] {
        for refused in refused_everywhere(code).await {
            assert_eq!(refused.calls, [Op::Claim], "{code}: nothing but a claim");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_superseded_never_answers_with_its_own_body() {
    for refused in refused_everywhere("superseded").await {
        let replay = refused.wire.send(keyed("key")).await;
        assert_eq!((replay.text(), replay.is_replay()), ("paid", true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_reached_runs_nothing() {
    for refused in refused_everywhere("store-unavailable").await {
        assert_eq!(refused.calls, [Op::Claim]);
        refused.wire.store.heal();
        assert_eq!(refused.wire.send(keyed("key")).await.status, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_and_a_hook_change_every_problem() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for (code, ..) in REFUSALS {
        let based = |layer: TestLayer| layer.problem_base("urn:problem:");
        let problem = Scene {
            setup: &based,
            ..PLAIN
        }
        .refused(code)
        .await
        .answer;
        problem.assert_refused(code);
        let problem: Value = serde_json::from_slice(&problem.body).unwrap();
        assert_eq!(problem["type"], format!("urn:problem:{code}"));

        let hooked = {
            let seen = Arc::clone(&seen);
            move |layer: TestLayer| {
                let seen = Arc::clone(&seen);
                layer.on_rejection(move |why, response| {
                    seen.lock().unwrap().push(*why);
                    *response.body_mut() = format!("no: {}", why.code()).into();
                })
            }
        };
        let answer = Scene {
            setup: &hooked,
            ..ROUTER
        }
        .refused(code)
        .await
        .answer;
        assert_eq!(answer.text(), format!("no: {code}"));
        assert_eq!(seen.lock().unwrap().last().map(Rejection::code), Some(code));
        assert_eq!(
            answer.code(),
            Some(code),
            "the reason stays in the extensions"
        );
    }
}

#[tokio::test]
async fn what_is_not_covered_or_has_no_key_passes_untouched() {
    let get = |key| {
        let mut request = keyed(key);
        *request.method_mut() = Method::GET;
        request
    };
    for wire in Wire::both(defaults, answers(|| response(200, "ok"))) {
        for request in [get("key"), get("not visible"), unkeyed(), unkeyed()] {
            let answer = wire.send(request).await;
            assert_eq!((answer.status, answer.text()), (200, "ok"));
            assert!(!answer.is_replay());
        }
        assert_eq!((wire.runs(), wire.store.calls()), (4, vec![]));
    }
}

#[tokio::test]
async fn the_methods_that_are_covered_are_post_put_patch_and_delete_unless_told_otherwise() {
    let run_twice = async |wire: &Wire, method: Method| {
        let before = wire.runs();
        for _ in 0..2 {
            let mut request = keyed(method.as_str());
            *request.method_mut() = method.clone();
            wire.send(request).await;
        }
        wire.runs() - before == 2
    };
    for wire in Wire::both(defaults, answers(|| response(200, "ok"))) {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(!run_twice(&wire, method).await);
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert!(run_twice(&wire, method).await);
        }
    }
    let only_get = |layer: TestLayer| {
        layer
            .require_key()
            .covers(|parts| parts.method == Method::GET)
    };
    for wire in Wire::both(only_get, answers(|| response(200, "ok"))) {
        assert!(!run_twice(&wire, Method::GET).await);
        assert!(run_twice(&wire, Method::POST).await);
        assert_eq!(
            wire.send(unkeyed()).await.status,
            200,
            "a key is required of what is covered"
        );
    }
}

#[tokio::test]
async fn the_key_is_read_from_the_header_that_was_chosen() {
    let setup = |layer: TestLayer| layer.header("X-Request-Id").require_key();
    for wire in Wire::both(setup, answers(|| response(201, "paid"))) {
        wire.send(keyed("a")).await.assert_refused("missing-key");
        assert!(
            !wire
                .send(with(keyed("a"), "x-request-id", "1"))
                .await
                .is_replay()
        );
        assert!(
            wire.send(with(keyed("b"), "x-request-id", "1"))
                .await
                .is_replay()
        );
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test]
async fn a_first_request_gets_the_inner_response_as_it_is() {
    let inner = || {
        let mut response = response(201, "paid");
        let headers = response.headers_mut();
        for value in ["a=1", "b=2"] {
            headers.append(header::SET_COOKIE, value.parse().unwrap());
        }
        headers.insert(
            header::DATE,
            "Tue, 24 Nov 2026 08:00:00 GMT".parse().unwrap(),
        );
        headers.insert(header::CONTENT_LENGTH, "4".parse().unwrap());
        response
    };
    for wire in Wire::both(defaults, answers(inner)) {
        let bare = wire.send(unkeyed()).await;
        let first = wire.send(keyed("key")).await;
        assert_eq!((first.status, &first.body), (bare.status, &bare.body));
        assert_eq!(first.headers, bare.headers, "not one field more or less");
        assert_eq!(wire.store.calls(), [Op::Claim, Op::Complete]);
    }
}

#[tokio::test]
async fn a_request_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() {
    let whole = |body: &'static str| Body::from(body);
    let parts = |chunks: &[&'static str]| chunked(chunks, End::Clean);
    let bodies = || {
        [
            (whole("1234567"), true),
            (whole("12345678"), true),
            (whole("123456789"), false),
            (parts(&["123", "4567"]), true),
            (parts(&["1234", "5678", ""]), true),
            (parts(&["1234", "5678", "9"]), false),
        ]
    };
    for wire in Wire::both(
        |layer| layer.max_request_bytes(8),
        answers(|| response(201, "paid")),
    ) {
        for (number, (body, fits)) in bodies().into_iter().enumerate() {
            let answer = wire.send(keyed(&number.to_string()).map(|_| body)).await;
            if fits {
                assert_eq!(answer.status, 201, "body {number}");
            } else {
                answer.assert_refused("payload-too-large");
            }
        }
        assert_eq!(wire.runs(), 4);
    }
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_before_the_body_is_read() {
    let unreadable = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    for wire in Wire::both(
        |layer| layer.max_request_bytes(8),
        answers(|| response(201, "paid")),
    ) {
        let request = with(keyed("key").map(|_| unreadable()), "content-length", "9");
        wire.send(request).await.assert_refused("payload-too-large");
        assert_eq!((wire.runs(), wire.store.calls()), (0, vec![]));
    }
}

#[tokio::test]
async fn the_default_limit_of_a_request_body_is_one_mebibyte() {
    let wire = Wire::router(defaults, answers(|| response(201, "paid")));
    for (length, code) in [(1_048_576, None), (1_048_577, Some("payload-too-large"))] {
        let body = || Body::from(vec![b'x'; length]);
        let request = keyed(&length.to_string()).map(|_| body());
        assert_eq!(wire.send(request).await.code(), code);
        let announced = keyed(&format!("{length}-announced")).map(|_| body());
        let announced = with(announced, "content-length", &length.to_string());
        assert_eq!(wire.send(announced).await.code(), code);
    }
}
