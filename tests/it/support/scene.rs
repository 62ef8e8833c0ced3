use std::{future::Future, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use tokio::time::advance;
use tower_idempotency::UnknownOutcome;

use super::{
    bodies::{End, chunked},
    faulty_store::{DOWN, FaultyStore, Op},
    wire::{Answer, Gate, TestLayer, Wire, keyed, response, unkeyed, with},
};

/// What a refusal is brought about with.
pub(crate) struct Scene<'a> {
    /// Sets up the layer further.
    pub(crate) setup: &'a dyn Fn(TestLayer) -> TestLayer,
    /// Makes every request a gRPC call, say.
    pub(crate) dress: fn(Request<Body>) -> Request<Body>,
    /// Whether the service is an axum router.
    pub(crate) router: bool,
}

/// A refusal that came about.
pub(crate) struct Refused {
    pub(crate) wire: Wire,
    pub(crate) answer: Answer,
    /// How often the handler ran, and how often it should have.
    pub(crate) runs: (usize, usize),
    /// What the refused request asked of the store.
    pub(crate) calls: Vec<Op>,
}

impl Scene<'_> {
    /// Puts the layer in front of the obedient handler.
    pub(crate) fn wire(&self, setup: impl Fn(TestLayer) -> TestLayer, gate: &Gate) -> Wire {
        let setup = |layer| (self.setup)(setup(layer));
        Wire::of(self.router, setup, obedient(gate))
    }

    /// Has a request refused for the reason that the code names. Time must be paused.
    pub(crate) async fn refused(&self, code: &str) -> Refused {
        let gate = Gate::default();
        let wire = self.wire(setup_for(code), &gate);
        let (ask, hold) = (|request| (self.dress)(request), asked(keyed("key"), "hold"));
        let mut running = None;
        let runs = match code {
            "fingerprint-mismatch" => {
                assert_eq!(wire.send(ask(keyed("key"))).await.status, 201);
                1
            }
            "credentials-changed" => {
                let first = with(keyed("key"), "authorization", "Bearer one");
                assert_eq!(wire.send(ask(first)).await.status, 201);
                1
            }
            "in-flight" | "superseded" => {
                running = Some(wire.start(ask(hold)).await);
                1 + usize::from(code == "superseded")
            }
            "overloaded" => {
                running = Some(wire.start(ask(asked(keyed("other"), "hold"))).await);
                1
            }
            "outcome-unknown" | "effect-committed" => {
                if code == "effect-committed" {
                    wire.store.commits_effects();
                }
                wire.send(ask(asked(keyed("key"), "500"))).await;
                1
            }
            "not-replayable" => {
                wire.send(ask(asked(keyed("key"), "101"))).await;
                1
            }
            "store-unavailable" => {
                wire.store.always(Op::Claim, DOWN);
                0
            }
            "draining" => {
                wire.drain.drain(Duration::ZERO).await.unwrap();
                0
            }
            _ => 0,
        };
        let before = wire.store.calls().len();
        let answer = if code == "superseded" {
            take_over(&wire.store, || wire.send(ask(keyed("key")))).await;
            gate.open();
            running.take().unwrap().await.unwrap()
        } else {
            wire.send(ask(provoking(code))).await
        };
        let (runs, calls) = ((wire.runs(), runs), wire.store.calls().split_off(before));
        gate.open();
        if let Some(running) = running {
            assert_eq!(
                running.await.unwrap().status,
                201,
                "{code}: the first request went on"
            );
        }
        Refused {
            wire,
            answer,
            runs,
            calls,
        }
    }
}

fn setup_for(code: &str) -> impl Fn(TestLayer) -> TestLayer {
    move |layer| match code {
        "missing-key" => layer.require_key(),
        "payload-too-large" => layer.max_request_bytes(4),
        "missing-principal" => layer.scope(|_| None),
        "outcome-unknown" | "effect-committed" => layer.unknown_outcome(UnknownOutcome::Refuse),
        "overloaded" => layer.max_in_flight(1),
        _ => layer,
    }
}

fn provoking(code: &str) -> Request<Body> {
    match code {
        "missing-key" => unkeyed(),
        "invalid-key" => keyed("not visible"),
        "unreadable-body" => keyed("key").map(|_| chunked(&["amount"], End::Broken)),
        "credentials-changed" => with(keyed("key"), "authorization", "Bearer two"),
        "fingerprint-mismatch" => keyed("key").map(|_| Body::from("amount=2")),
        _ => keyed("key"),
    }
}

/// Lets the lease of a running handler lapse, as if its process stood still, while another
/// request takes its key over.
pub(crate) async fn take_over<F: Future<Output = Answer>>(
    store: &FaultyStore,
    other: impl FnOnce() -> F,
) {
    store.always(Op::Renew, DOWN);
    advance(Duration::from_secs(11)).await;
    let other = other().await;
    assert_eq!((other.status, other.is_replay()), (201, false), "{other:?}");
}

/// Tells the obedient handler what to answer.
pub(crate) fn asked(request: Request<Body>, what: &str) -> Request<Body> {
    with(request, "x-answer", what)
}

/// A handler that answers with the status in `x-answer`, after the gate is open where that says
/// `hold`, and panics where it says `panic`.
pub(crate) fn obedient(
    gate: &Gate,
) -> impl Fn(Request<Body>) -> futures_util::future::BoxFuture<'static, Response<Body>>
+ Clone
+ Send
+ Sync
+ 'static {
    let gate = gate.clone();
    move |request| {
        let gate = gate.clone();
        Box::pin(async move {
            let asked = request
                .headers()
                .get("x-answer")
                .map(|asked| asked.to_str().unwrap());
            match asked {
                None => response(201, "paid"),
                Some("hold") => {
                    gate.pass().await;
                    response(201, "paid late")
                }
                Some("panic") => panic!("asked to"),
                Some("break") => response(200, chunked(&["half"], End::Broken)),
                Some(status) => response(status.parse().unwrap(), "asked"),
            }
        })
    }
}
