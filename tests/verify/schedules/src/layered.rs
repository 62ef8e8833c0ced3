//! Requests through the whole layer, on a memory store.

use std::{future::poll_fn, sync::atomic::Ordering::SeqCst, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use shuttle::{
    future,
    rand::{Rng, thread_rng},
};
use tokio::time::Instant;
use tower_idempotency::{Idempotency, IdempotencyLayer};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    handler::{Gone, Handler},
    slow::Slow,
};

type Layered = Idempotency<Handler, Slow>;

fn layer() -> IdempotencyLayer<Slow> {
    IdempotencyLayer::new(Slow::default())
        .require_key()
        .lease(Duration::from_secs(10))
        .wait(Duration::from_secs(3600))
}

/// What a client is told: a status, whether it is a replay, and the body.
type Told = (StatusCode, bool, Bytes);

fn request() -> Request<Full<Bytes>> {
    let request = Request::post("/charge").header("idempotency-key", "order-17");
    request.body(Full::from("100")).expect("a request")
}

async fn send(mut service: Layered) -> Told {
    let response = service.call(request()).await.expect("it cannot fail");
    let replayed = response.headers().contains_key("idempotency-replayed");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body");
    (status, replayed, body.to_bytes())
}

/// Sends a request and hangs up after some steps of it, or not.
async fn send_and_hang_up(mut service: Layered) {
    let patience = thread_rng().gen_range(0..12);
    let gone = Gone::default();
    let mut request = request();
    request.extensions_mut().insert(gone.clone());
    let mut response = Box::pin(service.call(request));
    let mut steps = 0;
    poll_fn(|cx| {
        if steps == patience {
            return Poll::Ready(());
        }
        steps += 1;
        match response.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
    drop(response);
    gone.note();
}

/// Turns the clock until all is over, but not for so long: one that waits for more is lost, and
/// shuttle tells that the steps have no end.
fn turn_until(is_over: impl Fn() -> bool, at_most: Duration) {
    let end = Instant::now() + at_most;
    future::block_on(async {
        while !is_over() {
            tokio::time::turn_until(end);
            future::yield_now().await;
        }
    });
}

/// Less than a third of the lease: time enough for pauses, and for no renewal.
const SHORT: Duration = Duration::from_secs(3);

/// So long that every lease passes, and is renewed, at any moment.
const LONG: Duration = Duration::from_secs(100_000);

/// Three send the same at once and wait for each other: one runs, and all get its answer.
pub fn waiting_in_line() {
    let handler = Handler::default();
    let counts = handler.counts.clone();
    let service = layer().layer(handler);
    let tasks: Vec<_> = (0..3)
        .map(|_| future::spawn(send(service.clone())))
        .collect();
    let answers = tasks.iter().map(future::JoinHandle::abort_handle);
    let handles: Vec<_> = answers.collect();
    turn_until(
        || handles.iter().all(future::AbortHandle::is_finished),
        SHORT,
    );
    for task in tasks {
        let (status, _, body) = future::block_on(task).expect("no panic");
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"1"[..]));
    }
    assert_eq!(
        counts.done.load(SeqCst),
        1,
        "the handler ran more than once"
    );
}

/// A client hangs up at any step, and another sends the same: no work is done twice or left undone,
/// and a drained layer has nothing under way.
pub fn hang_up() {
    let handler = Handler::default();
    let counts = handler.counts.clone();
    let layer = layer();
    let drain = layer.drain_handle();
    let service = layer.layer(handler);
    let gone = future::spawn(send_and_hang_up(service.clone()));
    let task = future::spawn(send(service.clone()));
    let handle = task.abort_handle();
    turn_until(|| handle.is_finished(), SHORT);
    let (status, _, body) = future::block_on(task).expect("no panic");
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"1"[..]));
    future::block_on(gone).expect("no panic");
    let drained = future::block_on(drain.drain(Duration::from_secs(60)));
    assert!(drained.is_ok(), "{drained:?}");
    assert_eq!(
        counts.done.load(SeqCst),
        1,
        "the handler ran more than once"
    );
    assert_eq!(drain.in_flight(), 0);
}

/// Handlers run while the clock is turned at any moment, so that leases pass, are renewed, and pass
/// all the same: what one request is told, all are, and the renewal ends with the last of them.
pub fn renewal() {
    let handler = Handler {
        varies: true,
        ..Handler::default()
    };
    let layer = layer();
    let drain = layer.drain_handle();
    let service = layer.layer(handler);
    let tasks: Vec<_> = (0..2)
        .map(|_| future::spawn(send(service.clone())))
        .collect();
    let handles: Vec<_> = tasks.iter().map(future::JoinHandle::abort_handle).collect();
    turn_until(
        || handles.iter().all(future::AbortHandle::is_finished),
        LONG,
    );
    let mut recorded = None;
    for task in tasks {
        let (status, replayed, body) = future::block_on(task).expect("no panic");
        let is_expected = [
            StatusCode::OK,
            // Superseded, or waited in vain.
            StatusCode::CONFLICT,
            // The claim came so late that its lease may have passed.
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        assert!(is_expected.contains(&status), "{status}");
        if replayed {
            assert_eq!(recorded.get_or_insert(body.clone()), &body);
        }
    }
    drop(service);
    future::block_on(async {
        // Whatever was begun ends by itself: nobody waits for the clock for ever.
        while tokio::time::turn() {
            future::yield_now().await;
        }
    });
    assert_eq!(drain.in_flight(), 0);
}
