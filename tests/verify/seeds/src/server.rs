//! A server: the layer around a slow handler.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::{io::AsyncReadExt, time::sleep};
use tower_idempotency::{
    Idempotency, IdempotencyContext, IdempotencyLayer, Outcome, RequestBody, UnknownOutcome,
};
use tower_layer::Layer;
use tower_service::Service;
use turmoil::net::{TcpListener, TcpStream};

use crate::{
    ledger::{Ledger, RunState},
    store::{Fault, Remote},
    wire,
};

const PORT: u16 = 80;

pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) async fn serve(ledger: Ledger, seed: u64, fault: Fault) -> turmoil::Result {
    // Every life of a server draws other tokens than its lives before.
    rand::seed(seed ^ u64::from(u32::try_from(ledger.book().events)?) << 32);
    let policy = if ledger.book().refuses {
        UnknownOutcome::Refuse
    } else {
        UnknownOutcome::Retry
    };
    let layer = IdempotencyLayer::new(Remote(fault))
        .require_key()
        .lease(LEASE)
        .ttl(Duration::from_secs(3600))
        .wait(Duration::from_secs(1))
        .unknown_outcome(policy);
    let service = layer.layer(Handler { ledger, seed });
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move { drop(answer(stream, service).await) });
    }
}

/// Answers one request, as long as its client is there.
async fn answer(
    mut stream: TcpStream,
    mut service: Idempotency<Handler, Remote>,
) -> turmoil::Result {
    let mut asked = wire::read(&mut stream).await?;
    let key = asked.get_u32();
    let request = Request::post(format!("/{key}"))
        .header("idempotency-key", format!("key-{key}"))
        .body(Full::from("the same"))?;
    let response = {
        let gone = async {
            let mut end = [0];
            let _ = stream.read(&mut end).await;
        };
        tokio::select! {
            biased;
            response = service.call(request) => response?,
            () = gone => return Ok(()),
        }
    };
    let mut told = Vec::new();
    told.put_u16(response.status().as_u16());
    told.put_u8(u8::from(
        response.headers().contains_key("idempotency-replayed"),
    ));
    told.put_slice(&response.into_body().collect().await?.to_bytes());
    wire::write(&mut stream, &told).await?;
    Ok(())
}

/// What a client was told: none, where it was told nothing in time.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) body: String,
}

/// Sends a request to a server.
pub(crate) async fn send(server: &str, key: usize) -> std::io::Result<Told> {
    let mut stream = TcpStream::connect((server, PORT)).await?;
    let key = u32::try_from(key).expect("a few keys");
    wire::write(&mut stream, &key.to_be_bytes()).await?;
    let mut told = wire::read(&mut stream).await?;
    Ok(Told {
        status: told.get_u16(),
        replayed: told.get_u8() == 1,
        body: String::from_utf8_lossy(&told).into_owned(),
    })
}

/// Takes its time, writes into the ledger, and ends well, badly or in a panic.
#[derive(Clone, Debug)]
struct Handler {
    ledger: Ledger,
    seed: u64,
}

impl Service<Request<RequestBody<Full<Bytes>>>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        let Self { ledger, seed } = self.clone();
        Box::pin(async move {
            let context: &IdempotencyContext = request.extensions().get().expect("a keyed request");
            let key: usize = request.uri().path()[1..].parse().expect("a key");
            let run = ledger.starts(key, context);
            let number = ledger.book().runs.len();
            let mut rng = Rng::with_seed(seed ^ (number as u64) << 20);
            // Up to three leases; most are much faster.
            let longest = if rng.u8(..4) == 0 { 6000 } else { 300 };
            sleep(Duration::from_millis(rng.u64(..longest))).await;
            let mut response = Response::new(Full::from(format!("{key} by run {number}")));
            let (state, outcome) = match rng.u8(..10) {
                0 => (RunState::Nothing, Outcome::Retryable),
                1 => (RunState::Unknown, Outcome::Unknown),
                _ => (RunState::Final, Outcome::Final),
            };
            run.ends(state);
            response.extensions_mut().insert(outcome);
            Ok(response)
        })
    }
}
