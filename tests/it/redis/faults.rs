//! Every operation of a layer's store, and everything that can happen to it on its way.

use std::time::Duration;

use axum::{Router, body::Body, extract::State, http::StatusCode, routing::post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::BodyExt;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, RedisStore};

use crate::support::{
    redis::RedisServer,
    redis_proxy::{Fault, RedisProxy},
    sockets::Probe,
};

const LEASE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_millis(250);

/// How much longer than a lease a key may take here: a fault lasts, clients pause, and the machine
/// may be busy. A key that is stuck takes an hour.
const SLACK: Duration = Duration::from_secs(6);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Claim,
    Renew,
    Complete,
    Release,
    Abandon,
}

impl Operation {
    const ALL: [Self; 5] = [
        Self::Claim,
        Self::Renew,
        Self::Complete,
        Self::Release,
        Self::Abandon,
    ];

    /// Returns whether a command is this operation, as far as its arguments tell: where a claim
    /// ends without a record, its handler decides how.
    fn is(self, words: &[Bytes]) -> bool {
        let arguments = match self {
            Self::Claim => 6,
            Self::Renew => 4,
            Self::Complete => 5,
            Self::Release | Self::Abandon => 3,
        };
        words[0].starts_with(b"EVAL") && words.len() == 3 + arguments
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const FAULTS: [Fault; 19] = [
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::CutWithin,
    Fault::Reorder(ms(50)),
    Fault::Reorder(ms(700)),
    Fault::Repeat(ms(50)),
    Fault::Repeat(ms(700)),
    Fault::Delay(ms(50)),
    Fault::Delay(ms(600)),
    Fault::Trickle(ms(2)),
    Fault::Swallow,
    Fault::Swap,
    Fault::Lose,
    Fault::Refuse("NOSCRIPT No matching script. Please use EVAL."),
    Fault::Refuse("OOM command not allowed when used memory > 'maxmemory'."),
    Fault::Refuse("READONLY You can't write against a read only replica."),
    Fault::Refuse("LOADING Redis is loading the dataset in memory"),
    Fault::Refuse("BUSY Redis is busy running a script."),
    Fault::Deny("ERR something went wrong afterwards"),
];

/// What a handler does, so that its claim is used as it is to be tried.
async fn handle(
    State((operation, probe)): State<(Operation, Probe)>,
    context: IdempotencyContext,
) -> (StatusCode, String) {
    let key = context.key().as_str();
    let running = probe.run(key);
    let run = probe.runs(key);
    if operation == Operation::Renew {
        sleep(LEASE * 3 / 2).await;
    }
    running.end();
    let status = match operation {
        Operation::Release if run == 1 => StatusCode::SERVICE_UNAVAILABLE,
        Operation::Abandon if run == 1 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    (status, format!("run {run} of {key}"))
}

async fn ask(app: &Router, key: &'static str) -> (StatusCode, String) {
    let request = Request::post("/").header("idempotency-key", key);
    let request = request.body(Body::empty()).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, String::from_utf8(body.into()).unwrap())
}

/// Asks until there is an answer that is kept.
async fn ask_until_answered(app: &Router, key: &'static str) -> String {
    loop {
        let (status, body) = ask(app, key).await;
        if status == StatusCode::OK {
            return body;
        }
        sleep(ms(20)).await;
    }
}

/// Does something to an operation, so many times, while one key is asked for and another is too.
async fn scene(port: u16, operation: Operation, fault: Fault, times: usize) {
    let name = format!("{operation:?}, {times} times {fault:?}");
    let proxy = RedisProxy::start(port).await;
    let builder = RedisStore::builder().deadline(DEADLINE);
    let builder = builder.prefix(format!("{name}:"));
    let store = builder.connect(&proxy.url()).await.unwrap();
    let probe = Probe::default();
    let layer = IdempotencyLayer::new(store).lease(LEASE);
    let app = Router::new().route("/", post(handle)).layer(layer);
    let app = app.with_state((operation, probe.clone()));

    proxy.plan(fault, times, move |words| operation.is(words));
    let answers = timeout(LEASE + SLACK, async {
        tokio::join!(
            ask_until_answered(&app, "one"),
            ask_until_answered(&app, "two")
        )
    });
    let answers = answers
        .await
        .unwrap_or_else(|_| panic!("{name}: a key is stuck"));

    let runs = 1 + usize::from(matches!(operation, Operation::Release | Operation::Abandon));
    for (key, answer) in [("one", answers.0), ("two", answers.1)] {
        assert_eq!(answer, format!("run {runs} of {key}"), "{name}");
        // What comes late changes nothing.
        sleep(ms(400)).await;
        assert_eq!(ask_until_answered(&app, key).await, answer, "{name}");
        assert_eq!(probe.runs(key), runs, "{name}");
    }
    assert!(proxy.left() < times, "{name}: it did not come to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answers_were_lost_is_released_long_before_its_lease() {
    let server = RedisServer::durable();
    let proxy = RedisProxy::start(server.port).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let probe = Probe::default();
    let layer = IdempotencyLayer::new(store).lease(Duration::from_secs(600));
    let app = Router::new().route("/", post(handle)).layer(layer);
    let app = app.with_state((Operation::Claim, probe.clone()));
    // Teaches the server the scripts.
    ask_until_answered(&app, "zero").await;
    // Sooner than that, a connection that breaks is not replaced at once.
    sleep(ms(600)).await;
    proxy.plan(Fault::CutAfter, 2, |words| Operation::Claim.is(words));
    assert_eq!(ask(&app, "one").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(proxy.left(), 0, "the server answered, and nobody heard it");
    let answer = timeout(LEASE + SLACK, ask_until_answered(&app, "one")).await;
    assert_eq!(answer.expect("the key is free"), "run 1 of one");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_any_operation_runs_a_handler_twice_or_answers_wrongly_or_holds_a_key() {
    let server = RedisServer::durable();
    let port = server.port;
    let mut scenes = Vec::new();
    for operation in Operation::ALL {
        for fault in FAULTS {
            for times in [1, 3] {
                scenes.push(scene(port, operation, fault.clone(), times));
            }
        }
    }
    let mut scenes = stream::iter(scenes.into_iter().map(tokio::spawn)).buffer_unordered(24);
    while let Some(ended) = scenes.next().await {
        ended.unwrap();
    }
}
