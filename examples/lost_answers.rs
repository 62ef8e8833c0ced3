//! Loses one answer in ten after the work was done, and counts who is charged twice.
//!
//! ```sh
//! cargo run --release --features client --example lost_answers -- [--seed 42]
//! ```
//!
//! A server and, before it, a proxy that passes every request on but drops a tenth of the answers,
//! both on loopback. Each row makes a thousand charges. A duplicate is a charge made once more than
//! was asked for; an outcome is unknown when the caller never got an answer. The calls are those
//! that the server carried out at least once. The exit code is 1 unless the last row has all of
//! them, no duplicate and no unknown outcome.

use std::{
    collections::HashMap,
    error::Error,
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};
use tower_idempotency::{
    IdempotencyLayer, MemoryStore,
    client::{Backoff, Key, RetryLayer, RetryPolicy},
};
use tower_layer::Layer;

const CALLS: u32 = 1000;
const LOST: f64 = 0.1;
const MAX_ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let seed = seed()?;
    println!(
        "{CALLS} charges a row, {:.0} % of the answers lost, seed {seed}",
        LOST * 100.0
    );
    println!();
    println!("| row | calls | duplicates | unknown outcomes | attempts | time |");
    println!("|---|---:|---:|---:|---:|---:|");
    let mut last = None;
    for (name, caller, has_layer) in [
        ("no retry", Caller::Once, false),
        ("retry without key", Caller::Stubborn, false),
        ("retry with key, no layer", Caller::Keyed, false),
        ("retry with key, idempotency layer", Caller::Keyed, true),
    ] {
        let row = Row::measure(caller, has_layer, seed).await?;
        row.print(name);
        last = Some(row);
    }
    let is_clean = last.is_some_and(|row| row.is_clean());
    Ok(if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn seed() -> Result<u64, lexopt::Error> {
    let mut seed = 42;
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("seed") => seed = lexopt::ValueExt::parse(&parser.value()?)?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(seed)
}

/// How a charge is asked for.
#[derive(Clone, Copy)]
enum Caller {
    /// One request, whatever comes of it.
    Once,
    /// The same request until there is an answer, as loops around a client do.
    Stubborn,
    /// This crate's retries: one key for all attempts of a call.
    Keyed,
}

type Http = Client<HttpConnector, Full<Bytes>>;

impl Caller {
    /// Whether the caller knows in the end that the charge was made.
    async fn charge(self, http: &Http, url: &str, order: u32, retry: &RetryLayer) -> bool {
        match self {
            Self::Once => succeeds(http.clone(), url, order).await,
            Self::Stubborn => {
                for _ in 0..MAX_ATTEMPTS {
                    if succeeds(http.clone(), url, order).await {
                        return true;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                false
            }
            Self::Keyed => succeeds(retry.layer(http.clone()), url, order).await,
        }
    }
}

async fn succeeds<S, B>(client: S, url: &str, order: u32) -> bool
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    let request = Request::post(url).body(Full::from(order.to_string()));
    let answer = client.oneshot(request.expect("a valid request")).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// What a thousand charges came to.
struct Row {
    calls: u32,
    duplicates: u32,
    unknown: u32,
    attempts: u32,
    time: Duration,
}

impl Row {
    async fn measure(caller: Caller, has_layer: bool, seed: u64) -> Result<Self, Box<dyn Error>> {
        let bank = Bank::default();
        let server = bank.serve(has_layer).await?;
        let proxy = Proxy::new(server, seed);
        let url = format!("http://{}/charge", proxy.serve().await?);
        let http = Client::builder(TokioExecutor::new()).build_http();
        let retry = RetryPolicy::builder()
            .backoff(Backoff::fixed(PAUSE))
            .max_attempts(MAX_ATTEMPTS)
            .idempotency_key(Key::UuidV7)
            .build()?;
        let retry = RetryLayer::new(retry);

        let start = Instant::now();
        let mut unknown = 0;
        for order in 0..CALLS {
            unknown += u32::from(!caller.charge(&http, &url, order, &retry).await);
        }
        Ok(Self {
            calls: bank.orders(),
            duplicates: bank.duplicates(),
            unknown,
            attempts: proxy.requests(),
            time: start.elapsed(),
        })
    }

    /// Whether every charge was made, once, and its caller knows.
    fn is_clean(&self) -> bool {
        (self.calls, self.duplicates, self.unknown) == (CALLS, 0, 0)
    }

    fn print(&self, name: &str) {
        let Self {
            calls,
            duplicates,
            unknown,
            attempts,
            time,
        } = self;
        println!("| {name} | {calls} | {duplicates} | {unknown} | {attempts} | {time:.1?} |");
    }
}

/// The server, which counts how often each order was charged.
#[derive(Clone, Default)]
struct Bank {
    charged: Arc<Mutex<HashMap<String, u32>>>,
}

impl Bank {
    async fn serve(&self, has_layer: bool) -> io::Result<SocketAddr> {
        let mut app = Router::new()
            .route("/charge", post(charge))
            .with_state(self.clone());
        if has_layer {
            app = app.layer(IdempotencyLayer::new(MemoryStore::new()).require_key());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(address)
    }

    /// How many orders were charged at all.
    fn orders(&self) -> u32 {
        self.charged.lock().unwrap().values().map(|_| 1).sum()
    }

    fn duplicates(&self) -> u32 {
        let charged = self.charged.lock().unwrap();
        charged.values().map(|times| times - 1).sum()
    }
}

async fn charge(State(bank): State<Bank>, order: String) -> &'static str {
    // The charge itself, which takes its time.
    tokio::task::yield_now().await;
    *bank.charged.lock().unwrap().entry(order).or_default() += 1;
    "charged"
}

/// Passes requests on, and loses some of the answers.
#[derive(Clone)]
struct Proxy {
    server: SocketAddr,
    client: Client<HttpConnector, Incoming>,
    requests: Arc<Mutex<(u32, Rng)>>,
}

impl Proxy {
    fn new(server: SocketAddr, seed: u64) -> Self {
        Self {
            server,
            client: Client::builder(TokioExecutor::new()).build_http(),
            requests: Arc::new(Mutex::new((0, Rng::with_seed(seed)))),
        }
    }

    fn requests(&self) -> u32 {
        self.requests.lock().unwrap().0
    }

    async fn serve(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let proxy = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = proxy.clone();
                let service = service_fn(move |request| proxy.clone().pass(request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A lost answer is an error of the connection, which ends it.
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Ok(address)
    }

    async fn pass(
        self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
        *request.uri_mut() = format!("http://{}{}", self.server, request.uri().path()).parse()?;
        let answer = self.client.request(request).await?;
        let (requests, rng) = &mut *self.requests.lock().unwrap();
        *requests += 1;
        if rng.f64() < LOST {
            return Err("lost".into());
        }
        Ok(answer)
    }
}
