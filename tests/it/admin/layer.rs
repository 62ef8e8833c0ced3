//! What is done by hand, seen from a client of the layer.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{
    Admin, IdempotencyKey, IdempotencyLayer, MemoryStore, RecordNames, Scope, UnknownOutcome,
    admin::{Force, Forgotten, Repair, Repaired, State},
};

use crate::support::wire::{Answer, keyed, response, with};

type TestLayer = IdempotencyLayer<MemoryStore>;

fn layer(store: &MemoryStore) -> TestLayer {
    IdempotencyLayer::new(store.clone()).unknown_outcome(UnknownOutcome::Refuse)
}

/// Sends a request whose handler answers with this status.
async fn send(layer: &TestLayer, request: Request<Body>, status: u16) -> Answer {
    let handler = service_fn(move |_| async move {
        Ok::<_, Infallible>(response(status, format!("handler: {status}")))
    });
    let answer = layer.layer(handler).oneshot(request).await.unwrap();
    Answer::read(answer.map(Body::new)).await
}

fn key() -> IdempotencyKey {
    "key".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_resolved_and_the_retry_gets_the_answer() {
    let store = MemoryStore::new();
    let layer = layer(&store);
    assert_eq!(send(&layer, keyed("key"), 500).await.status, 500);
    send(&layer, keyed("key"), 201)
        .await
        .assert_refused("outcome-unknown");

    let name = layer.record_names().of(None, &key());
    let entry = store.find(&name).await.unwrap().unwrap();
    assert_eq!(entry.state, State::Abandoned);
    let answer = Response::builder()
        .status(201)
        .header("content-type", "text/plain")
        .header("date", "never")
        .header("set-cookie", "a=b")
        .header("content-length", "99")
        .header("connection", "close")
        .body(Bytes::from("paid by hand"))
        .unwrap();
    let repair = Repair::new(&entry, answer).unwrap();
    assert_eq!(store.repair(&repair).await.unwrap(), Repaired::Recorded);

    let retry = send(&layer, keyed("key"), 201).await;
    assert!(retry.is_replay());
    assert_eq!((retry.status, retry.text()), (201, "paid by hand"));
    assert_eq!(retry.header("content-type"), Some("text/plain"));
    for name in ["date", "set-cookie", "content-length", "connection"] {
        assert_eq!(retry.header(name), None, "{name}");
    }
    let other = with(keyed("key"), "authorization", "somebody else");
    send(&layer, other, 201)
        .await
        .assert_refused("credentials-changed");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_key_runs_again() {
    let store = MemoryStore::new();
    let layer = layer(&store);
    send(&layer, keyed("key"), 201).await;
    assert!(send(&layer, keyed("key"), 201).await.is_replay());
    let name = layer.record_names().of(None, &key());
    let forgotten = store.forget(&name, Force::No).await.unwrap();
    assert_eq!(forgotten, Forgotten::Forgotten);
    let again = send(&layer, keyed("key"), 202).await;
    assert!(!again.is_replay());
    assert_eq!(again.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_found_by_namespace_scope_key_and_secret_and_by_nothing_less() {
    let store = MemoryStore::new();
    let layer = layer(&store)
        .namespace("payments")
        .secret("secret")
        .scope(|_| Some(Scope::new("tenant").and("alice")));
    send(&layer, keyed("key"), 201).await;
    let scope = Scope::new("tenant").and("alice");
    let names = RecordNames::new().namespace("payments").secret("secret");
    let all = [
        (names.of(Some(&scope), &key()), true),
        (layer.record_names().of(Some(&scope), &key()), true),
        (names.of(Some(&scope), &"\"key\"".parse().unwrap()), true),
        (names.of(None, &key()), false),
        (names.of(Some(&Scope::new("tenantalice")), &key()), false),
        (names.of(Some(&scope), &"key2".parse().unwrap()), false),
        (names.clone().namespace("").of(Some(&scope), &key()), false),
        (
            names.clone().secret("other").of(Some(&scope), &key()),
            false,
        ),
        (
            RecordNames::new()
                .namespace("payments")
                .of(Some(&scope), &key()),
            false,
        ),
    ];
    for (place, (name, is_found)) in all.into_iter().enumerate() {
        let found = store.find(&name).await.unwrap();
        assert_eq!(found.is_some(), is_found, "{place}");
        let written = format!("{name:x}");
        assert_eq!(written.parse(), Ok(name));
        assert_eq!(written.to_uppercase().parse(), Ok(name));
    }
    for none in ["", "ab", &"g".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
        assert!(
            none.parse::<tower_idempotency::RecordName>().is_err(),
            "{none}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ages_are_reckoned_by_the_ttl() {
    let store = MemoryStore::new();
    let ttl = Duration::from_secs(3600);
    let layer = layer(&store).ttl(ttl);
    send(&layer, keyed("key"), 201).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let name = layer.record_names().of(None, &key());
    let entry = store.find(&name).await.unwrap().unwrap();
    assert_eq!(entry.age(ttl), Duration::from_secs(60));
    let json: serde_json::Value = serde_json::from_str(&entry.to_json(ttl)).unwrap();
    assert_eq!(json["age_ms"], 60_000);
    assert_eq!(json["expires_in_ms"], 3_540_000);
    assert_eq!(json["state"], "completed");
    assert_eq!(json["record"], format!("{name:x}"));
    assert_eq!(json["fence"], serde_json::Value::Null);
    assert!(json["bytes"].as_u64().unwrap() > 80);
}
