use std::{error::Error as _, fmt::Debug};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_idempotency::{
    IdempotencyContext, IdempotencyKey, IdempotencyLayer, MemoryStore, Record, RequestBody, Scope,
    Store, UnknownOutcome,
    store::{Claim, Claimed, OwnerToken, StoreError, StoreErrorKind},
};

use crate::support::{
    faulty_store::{FaultyStore, Op},
    wire::{Wire, answers, defaults, keyed, response, with},
};

const CANARIES: [&str; 6] = [
    "canary-key",
    "canary-scope",
    "canary-credential",
    "canary-body",
    "canary-secret",
    "canary-answer",
];

#[track_caller]
fn assert_secret(text: &str) {
    // A derived `Debug` shows bytes as numbers.
    let numbers = |canary: &str| format!("{:?}", canary.as_bytes()).replace(['[', ']'], "");
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {text}");
        assert!(
            !text.contains(&numbers(canary)),
            "{canary}, as numbers, in {text}"
        );
    }
}

#[track_caller]
fn assert_no_secret_in(shown: &dyn Debug) {
    let (short, long) = (format!("{shown:?}"), format!("{shown:#?}"));
    assert!(!short.is_empty());
    assert_secret(&short);
    assert_secret(&long);
}

fn secret_request() -> Request<Full<Bytes>> {
    let request = with(
        keyed("canary-key"),
        "authorization",
        "Bearer canary-credential",
    );
    request.map(|_| Full::new(Bytes::from("canary-body")))
}

#[tokio::test]
async fn the_debug_output_of_every_public_type_keeps_its_secrets() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let inner = service_fn({
        let seen = std::sync::Arc::clone(&seen);
        move |request: Request<RequestBody<Full<Bytes>>>| {
            let context = request.extensions().get::<IdempotencyContext>().cloned();
            *seen.lock().unwrap() = context;
            async move {
                assert_no_secret_in(request.body());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "canary-body");
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(
                    "canary-answer",
                ))))
            }
        }
    });
    let store = MemoryStore::new();
    let layer = IdempotencyLayer::new(store.clone())
        .scope(|_| Some(Scope::new("canary-scope")))
        .secret("canary-secret");
    assert_no_secret_in(&layer);
    for part in ["max_in_flight", "HmacSha256([redacted])"] {
        assert!(format!("{layer:?}").contains(part), "{layer:?}");
    }
    assert_no_secret_in(&layer.drain_handle());
    let mut service = layer.layer(inner.clone());
    let response = service.ready().await.unwrap().call(secret_request());
    assert_no_secret_in(&response);
    assert_no_secret_in(response.await.unwrap().body());
    assert_no_secret_in(&layer.layer(()));
    assert_no_secret_in(&store);

    let context = seen.lock().unwrap().take().unwrap();
    assert_no_secret_in(&context);
    assert_no_secret_in(context.key());
    assert_no_secret_in(context.record_name());
    assert_secret(&context.downstream_key("bank"));
    assert_no_secret_in(&Scope::new("canary-scope").and("canary-scope"));

    let owner = OwnerToken::from_bytes(*b"canary-key-canar");
    assert_no_secret_in(&owner);
    let claim = Claim::new(
        *context.record_name(),
        owner,
        std::time::Duration::MAX,
        std::time::Duration::MAX,
    );
    assert_no_secret_in(&claim);
    let print = tower_idempotency::Fingerprint::from_bytes([0; 49]);
    assert_no_secret_in(&print);
    let claimed = store
        .claim(&claim, &print, UnknownOutcome::Retry)
        .await
        .unwrap();
    assert_no_secret_in(&claimed);
    let Claimed::Completed(record) = claimed else {
        panic!("{claimed:?}")
    };
    assert!(record.windows(13).any(|bytes| bytes == b"canary-answer"));
    let record = Record::decode(context.record_name(), record).unwrap();
    assert_no_secret_in(&record);
}

#[test]
fn errors_say_what_is_wrong_with_a_key_and_not_what_it_is() {
    for value in [
        "canary-key,canary-key",
        "\"canary-key",
        "canary-key canary-key",
    ] {
        let error = IdempotencyKey::from_header_value(&value.parse().unwrap()).unwrap_err();
        assert_no_secret_in(&error);
        assert_secret(&error.to_string());
    }
    let error = StoreError::new(StoreErrorKind::Full, "no room");
    assert_eq!(error.to_string(), "the idempotency store is full");
    assert_eq!(error.source().unwrap().to_string(), "no room");
}

#[tokio::test]
async fn the_store_is_told_nothing_but_digests() {
    let store = FaultyStore::default();
    let scoped = |layer: IdempotencyLayer<_>| layer.scope(|_| Some(Scope::new("canary-scope")));
    let wire = Wire::on(&store, scoped, answers(|| response(201, "paid")));
    wire.send(secret_request().map(Body::new)).await;
    let (name, print) = store.claims()[0];
    for bytes in [&name.as_bytes()[..], &print.as_bytes()[..]] {
        assert!(!bytes.windows(6).any(|bytes| bytes == b"canary"));
    }
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn no_log_of_any_level_and_no_answer_holds_a_secret() {
    use crate::support::{
        log::Log,
        scene::Scene,
        wire::{REFUSALS, TestLayer},
    };

    fn dressed(mut request: Request<Body>) -> Request<Body> {
        let key = request
            .headers()
            .get("idempotency-key")
            .map(|key| key.as_bytes().to_vec());
        if let Some(key) = key {
            let key = [b"canary-key-", &key[..]].concat();
            let key = http::HeaderValue::from_bytes(&key).unwrap();
            request.headers_mut().insert("idempotency-key", key);
        }
        if !request.headers().contains_key("authorization") {
            request = with(request, "authorization", "canary-credential");
        }
        with(request, "content-type", "canary-body")
    }

    fn scoped(layer: TestLayer) -> TestLayer {
        layer.secret("canary-secret").namespace("canary-scope")
    }

    let (log, _guard) = Log::capture();
    let mut before = 0;
    for setup in [scoped as fn(_) -> _, defaults] {
        for router in [false, true] {
            for (code, ..) in REFUSALS {
                let scene = Scene {
                    setup: &setup,
                    dress: dressed,
                    router,
                };
                let refused = scene.refused(code).await;
                assert_no_secret_in(&refused.answer);
                let wire = refused.wire;
                for op in [Op::Claim, Op::Complete, Op::Release, Op::Abandon] {
                    wire.store.next(op, crate::support::faulty_store::DOWN);
                    wire.send(dressed(keyed("canary-key"))).await;
                }
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            }
        }
        let text = log.text();
        assert!(text.len() > before, "something is logged");
        before = text.len();
    }
    let text = log.text();
    assert_secret(&text);
    for message in [
        "other credentials",
        "the idempotency store failed",
        "took over",
        "lost its lease",
        "error=the idempotency store cannot be reached",
        "cause=injected",
        "operation=\"claim\"",
    ] {
        assert!(text.contains(message), "{message:?} is missing in {text}");
    }
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn no_log_holds_a_body_an_answer_or_a_scope() {
    use crate::support::{faulty_store::DOWN, log::Log, wire::TestLayer};

    fn scoped(layer: TestLayer) -> TestLayer {
        layer
            .scope(|_| Some(Scope::new("canary-scope")))
            .max_response_bytes(100)
    }

    let (log, _guard) = Log::capture();
    for (status, length) in [(201, 1), (201, 20), (500, 1), (503, 1)] {
        let answer = move || response(status, "canary-answer".repeat(length));
        for wire in Wire::both(scoped, answers(answer)) {
            let send =
                |body: &'static str| wire.send(keyed("canary-key").map(|_| Body::from(body)));
            for op in [Op::Claim, Op::Complete, Op::Release, Op::Abandon] {
                wire.store.next(op, DOWN);
            }
            for _ in 0..3 {
                send("canary-body").await;
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            }
            send("canary-body of another request").await;
            wire.store
                .tampers(|record| [&record[..], b"canary-answer"].concat());
            send("canary-body").await;
        }
    }
    let text = log.text();
    assert_secret(&text);
    for message in [
        "the idempotency store failed",
        "an answer is recorded without its body",
        "a stored record cannot be replayed",
    ] {
        assert!(text.contains(message), "{message:?} is missing in {text}");
    }
}
