use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tower_idempotency::{DrainTimeout, IdempotencyLayer};

use crate::support::sockets::{
    Client, Gate, HangUp, PATIENCE, Probe, Server, Staged, Step, Version, app, gated, keyed,
};

#[tokio::test]
async fn draining_refuses_new_requests_and_waits_for_handlers_without_clients() {
    let (probe, gate) = (Probe::default(), Gate::new_closed());
    let layer = IdempotencyLayer::new(Staged::new(&probe)).wait(PATIENCE);
    let drain = layer.drain_handle();
    let server = Server::start(app(&probe, layer, gated(&probe, &gate))).await;
    for (index, hang_up) in HangUp::ALL.into_iter().enumerate() {
        let client = Client::connect_for(server.address, hang_up).await;
        let begun = client.begin(keyed(&format!("key-{index}")));
        probe.until(Step::HandlerBegins, index + 1).await;
        drop(begun.hang_up(hang_up).await);
        probe.until(Step::ClientGone, index + 1).await;
    }
    // One more, which waits for an owner: it is refused as soon as draining begins.
    let claims = probe.count(Step::ClaimEnds);
    let mut waiter = Client::connect(server.address, Version::Http1).await;
    let waiter = tokio::spawn(async move { waiter.post("key-0").await });
    probe.until(Step::ClaimEnds, claims + 2).await;

    let left = HangUp::ALL.len();
    let timed_out = drain.drain(Duration::from_millis(50)).await;
    assert_eq!(timed_out, Err(DrainTimeout { in_flight: left }));
    let mut client = Client::connect(server.address, Version::Http2).await;
    for refused in [waiter.await.unwrap(), client.post("another").await] {
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(
            refused.text().contains(r#""code":"draining""#),
            "{refused:?}"
        );
    }
    let unkeyed = http::Request::post("/nowhere").body(http_body_util::Full::default());
    assert_eq!(client.send(unkeyed.unwrap()).await.status, 404);

    let mut draining = pin!(drain.drain(PATIENCE));
    assert!(poll_once(draining.as_mut()).await.is_none());
    assert_eq!(drain.in_flight(), left);
    gate.open();
    assert_eq!(draining.await, Ok(()));
    assert_eq!(drain.in_flight(), 0);
    for step in [Step::HandlerEnds, Step::CompleteEnds] {
        assert_eq!(probe.count(step), left, "{step:?}");
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
