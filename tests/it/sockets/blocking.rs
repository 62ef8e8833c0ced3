//! A handler that blocks its thread, and with it whatever waits for that thread.

use std::{future::pending, net::SocketAddr, thread, time::Duration};

use axum::{Router, routing::post};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tokio::{
    runtime::{Builder, Runtime},
    time::sleep,
};
use tower_idempotency::{IdempotencyContext, IdempotencyLayer};

use crate::support::sockets::{Client, Probe, Server, Staged, Step, Version, app, keyed};

const LEASE: Duration = Duration::from_millis(300);
const BLOCKED: Duration = Duration::from_millis(1200);

/// A server on two threads of its own.
struct Apart {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Apart {
    async fn start(router: Router) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.spawn(Server::start(router)).await.unwrap();
        let address = server.address;
        runtime.spawn(async move {
            pending::<()>().await;
            drop(server);
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// Both servers are asked as one.
fn request(key: &str) -> Request<Full<Bytes>> {
    let request = keyed(key).header(header::HOST, "payments.example");
    request.body(Full::default()).unwrap()
}

/// Has one server block under a key, after it answered some others, while another server of the
/// same store asks for that key.
async fn block(version: Version, before: usize) {
    let probe = Probe::default();
    let store = Staged::new(&probe);
    let layer = IdempotencyLayer::new(store.clone()).lease(LEASE);
    let runs = probe.clone();
    let handler = post(async move |context: IdempotencyContext| {
        let key = context.key().as_str();
        let running = runs.run(key);
        if key == "blocking" {
            thread::sleep(BLOCKED);
        }
        running.end();
        format!("attempt {}", context.attempt())
    });
    // Two layers, as in two processes: they share no renewer.
    let other = IdempotencyLayer::new(store).lease(LEASE);
    let server = Apart::start(app(&probe, layer, handler.clone())).await;
    let other = Apart::start(app(&probe, other, handler)).await;

    let mut client = Client::connect(server.address, version).await;
    for index in 0..before {
        assert_eq!(client.send(request(&index.to_string())).await.status, 200);
        sleep(LEASE / 30).await;
    }
    let begun = probe.count(Step::HandlerBegins) + 1;
    let answer = tokio::spawn(async move { client.send(request("blocking")).await });
    probe.until(Step::HandlerBegins, begun).await;
    let mut rival = Client::connect(other.address, Version::Http1).await;
    while !answer.is_finished() {
        let refused = rival.send(request("blocking")).await;
        assert!(
            refused.status == 409 || refused.is_replayed(),
            "{refused:?} after {before}"
        );
        sleep(LEASE / 10).await;
    }
    assert_eq!(answer.await.unwrap().text(), "attempt 1");
    assert_eq!(probe.runs("blocking"), 1);
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_keeps_its_key() {
    block(Version::Http1, 0).await;
    block(Version::Http2, 0).await;
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_after_others_keeps_its_key() {
    block(Version::Http1, 5).await;
    block(Version::Http2, 5).await;
}
