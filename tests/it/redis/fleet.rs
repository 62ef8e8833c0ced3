//! Many servers on one Redis, and a server without it.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, routing::post};
use http::{Request, StatusCode};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_idempotency::IdempotencyLayer;

use crate::support::{
    redis::RedisServer,
    redis_store::patient,
    sockets::{Gate, PATIENCE},
    stopwatch::Stopwatch,
};

const SERVERS: u64 = 64;
const REQUESTS: usize = 100;

async fn until(come_about: impl Fn() -> bool, what: &str) {
    let start = Instant::now();
    while !come_about() {
        assert!(start.elapsed() < PATIENCE * 3, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn send(app: Router, key: String) -> StatusCode {
    let request = Request::post("/").header("idempotency-key", key);
    let request = request.body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_servers_hold_a_connection_each_and_one_more_for_those_who_wait() {
    let server = RedisServer::start();
    let gate = Gate::new_closed();
    let handler = |gate: Gate| post(async move || gate.pass().await);
    let mut apps = Vec::new();
    for _ in 0..SERVERS {
        let store = patient().connect(&server.url()).await.unwrap();
        let layer = IdempotencyLayer::new(store)
            .wait(PATIENCE * 3)
            .lease(PATIENCE * 3);
        apps.push(Router::new().route("/", handler(gate.clone())).layer(layer));
    }
    let claims = || server.lines(&["DBSIZE"])[0].clone();
    let mut answers = JoinSet::new();
    for (number, app) in apps.iter().enumerate() {
        for request in 0..REQUESTS {
            answers.spawn(send(app.clone(), format!("{number}-{request}")));
        }
    }
    let all = format!(":{}", usize::try_from(SERVERS).unwrap() * REQUESTS);
    until(|| claims() == all, "every request has its key").await;
    // One more: whoever asks here.
    assert_eq!(server.info("connected_clients"), SERVERS + 1);

    for (number, app) in apps.iter().enumerate() {
        for request in 0..3 {
            answers.spawn(send(app.clone(), format!("{number}-{request}")));
        }
    }
    let channels = || server.lines(&["PUBSUB", "CHANNELS"]).len();
    let waited_for = usize::try_from(SERVERS).unwrap() * 3;
    until(|| channels() == waited_for, "all keys are listened to").await;
    assert_eq!(server.info("connected_clients"), 2 * SERVERS + 1);
    gate.open();
    while let Some(status) = answers.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_redis_refuses_in_time_runs_nothing_and_does_not_grow() {
    use http_body_util::Full;

    use crate::support::{
        examples::Serving,
        sockets::{Client, Version, keyed},
    };

    const REFUSED: usize = 4000;
    const DEADLINE: Duration = Duration::from_millis(500);
    const GRACE: Duration = Duration::from_millis(100);
    const GROWTH: u64 = 2048;

    async fn post(client: &mut Client, key: &str) -> StatusCode {
        let request = keyed(key).uri("/echo").body(Full::default()).unwrap();
        client.send(request).await.status
    }

    async fn refuse(client: &mut Client, from: usize) {
        let start = Instant::now();
        for number in from..from + REFUSED {
            assert_eq!(post(client, &format!("refused-{number}")).await, 503);
        }
        println!("{REFUSED} refused in {:?}", start.elapsed());
    }

    let mut server = RedisServer::durable();
    let args = ["--listen", "127.0.0.1:0", "--store", &server.url()];
    let serving = Serving::start("conformance", &args).await;
    let mut client = serving.connect(Version::Http1).await;
    assert_eq!(post(&mut client, "kept").await, 201);

    server.kill();
    let start = Stopwatch::start();
    assert_eq!(post(&mut client, "first").await, 503);
    assert!(start.elapsed() <= DEADLINE + GRACE, "{:?}", start.elapsed());
    refuse(&mut client, 0).await;
    let before = serving.resident_kib();
    for round in 1..=3 {
        refuse(&mut client, round * REFUSED).await;
    }
    let after = serving.resident_kib();
    assert!(after <= before + GROWTH, "{before} KiB, then {after} KiB");

    server.restart();
    let start = Stopwatch::start();
    while post(&mut client, "first").await != 201 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let back = start.elapsed();
    assert!(back <= Duration::from_secs(1), "{back:?}");
    assert_eq!(post(&mut client, "kept").await, 201);
    let counter = Request::get("/counter").body(Full::default()).unwrap();
    let counter = client.send(counter).await;
    assert_eq!(counter.text(), r#"{"count":2,"finished":2}"#);
}
