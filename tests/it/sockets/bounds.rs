//! What is in flight is bounded, whatever clients do.

use bytes::Bytes;
use http_body_util::Full;
use tokio::time::sleep;
use tower_idempotency::{Drain, IdempotencyLayer};

use crate::support::sockets::{
    Client, Dice, Gate, HangUp, PATIENCE, Probe, Server, Staged, Step, Version, app, gated, keyed,
};

const MAX: usize = 8;

struct Bounded {
    probe: Probe,
    gate: Gate,
    drain: Drain,
    server: Server,
}

impl Bounded {
    async fn start() -> Self {
        let (probe, gate) = (Probe::default(), Gate::new_closed());
        let layer = IdempotencyLayer::new(Staged::new(&probe)).max_in_flight(MAX);
        let drain = layer.drain_handle();
        let server = Server::start(app(&probe, layer, gated(&probe, &gate))).await;
        Self {
            probe,
            gate,
            drain,
            server,
        }
    }

    /// Ends what runs; afterwards every key is answered, whether its first client is gone or not.
    async fn recovers(&self, keys: usize) {
        self.gate.open();
        self.probe.until(Step::CompleteEnds, MAX).await;
        let mut client = Client::connect(self.server.address, Version::Http1).await;
        for index in 0..keys {
            let key = format!("key-{index}");
            let answer = client.post(&key).await;
            assert_eq!(answer.body, format!("run 1 of {key}"));
        }
        assert_eq!(self.probe.count(Step::HandlerDropped), 0);
        assert_eq!(self.drain.drain(PATIENCE).await, Ok(()));
        assert_eq!(self.drain.in_flight(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_without_clients_keep_their_permits() {
    let bounded = Bounded::start().await;
    let mut gone = Vec::new();
    for (index, hang_up) in HangUp::ALL.into_iter().cycle().take(60).enumerate() {
        let client = Client::connect_for(bounded.server.address, hang_up).await;
        let begun = client.begin(keyed(&format!("key-{index}")));
        if index < MAX {
            bounded.probe.until(Step::HandlerBegins, index + 1).await;
        }
        gone.push(begun.hang_up(hang_up).await);
    }
    bounded.probe.until(Step::ClientGone, MAX).await;
    assert_eq!(bounded.drain.in_flight(), MAX);

    let mut client = Client::connect(bounded.server.address, Version::Http2).await;
    let refused = client.post("another").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(
        refused.text().contains(r#""code":"overloaded""#),
        "{}",
        refused.text()
    );
    assert_eq!(bounded.probe.most(), MAX);
    bounded.recovers(60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_streams_rapidly_runs_no_more_handlers_than_permits() {
    let bounded = Bounded::start().await;
    let mut client = Client::connect(bounded.server.address, Version::Http2).await;
    let mut dice = Dice::seeded();
    for index in 0..300 {
        let request = keyed(&format!("key-{index}")).body(Full::<Bytes>::default());
        let ended = tokio::select! {
            answer = client.open(request.unwrap()) => answer.is_err(),
            () = sleep(dice.micros(0..1_000)) => false,
        };
        // hyper ends a connection that resets too many of its streams.
        if ended {
            client = Client::connect(bounded.server.address, Version::Http2).await;
        }
    }
    bounded.probe.until(Step::ClientGone, MAX).await;
    assert_eq!(bounded.drain.in_flight(), MAX);
    assert_eq!(bounded.probe.most(), MAX);
    bounded.recovers(300).await;
}
