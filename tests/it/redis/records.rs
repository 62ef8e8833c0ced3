//! Records of every version come back through Redis as they went in, and none under another's key.

use std::{fs, path::Path};

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_idempotency::{
    Effects, IdempotencyLayer, Record, RecordName, Store,
    store::{Claim, Claimed, OwnerToken},
};

use super::claims::{acquire, assert_acquired, fresh};
use crate::support::{redis::RedisServer, redis_store::patient};

/// The name that all golden records stand under.
fn name() -> RecordName {
    RecordName::from_bytes(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()))
}

fn golden() -> Vec<Bytes> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(directory).unwrap();
    let files = files.map(|file| fs::read(file.unwrap().path()).unwrap().into());
    files.collect()
}

#[tokio::test]
async fn the_golden_records_are_read_back_through_redis() {
    let golden = golden();
    assert!(golden.len() >= 5);
    for server in RedisServer::of_every_version() {
        for record in &golden {
            let store = patient().connect(&server.url()).await.unwrap();
            server.command(&["FLUSHALL"]);
            let of = |owner| Claim::new(name(), owner, fresh().lease(), fresh().ttl());
            let claim = of(OwnerToken::random());
            assert_acquired(acquire(&store, &claim).await, 1);
            store
                .complete(&claim, record.clone(), Effects::Keep)
                .await
                .unwrap();
            let Claimed::Completed(read) =
                acquire(&store, &of(OwnerToken::random())).await.unwrap()
            else {
                panic!("it is recorded");
            };
            assert_eq!(read, record);
            let decoded = Record::decode(&name(), read).unwrap();
            assert_eq!(decoded.encode(&name()), record);
        }
    }
}

async fn status(app: &Router, key: &str) -> StatusCode {
    let request = Request::post("/").header("idempotency-key", key);
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_record_that_stands_under_another_key_is_nobodys_answer() {
    let server = RedisServer::start();
    let store = patient().connect(&server.url()).await.unwrap();
    let layer = IdempotencyLayer::new(store);
    let app = Router::new().route("/", post("paid")).layer(layer);
    assert_eq!(status(&app, "one").await, 200);
    let one = server.lines(&["KEYS", "*"]).remove(0);
    assert_eq!(status(&app, "two").await, 200);
    let mut both = server.lines(&["KEYS", "*"]);
    both.retain(|key| *key != one);
    server.command(&["RENAME", &one, &both[0]]);
    assert_eq!(status(&app, "two").await, 503);
    // The key that it had is free.
    assert_eq!(status(&app, "one").await, 200);
}
