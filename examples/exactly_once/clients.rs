use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rand::RngExt;
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_idempotency::client::{Backoff, Key, RetryLayer, RetryPolicy};
use tower_layer::Layer;

/// What the clients were told.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) done: u32,
    pub(crate) refused: u32,
    /// How many requests that took.
    pub(crate) requests: u32,
}

const CLIENTS: u32 = 8;

/// Sends all transfers from some clients at once, each until it is answered.
pub(crate) async fn transfer_all(
    server: SocketAddr,
    transfers: u32,
    accounts: i32,
) -> Result<Answers, Box<dyn Error>> {
    let retries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&retries);
    let policy = RetryPolicy::builder()
        .backoff(Backoff::exponential(
            Duration::from_millis(20),
            Duration::from_millis(200),
        ))
        .max_attempts(200)
        .attempt_timeout(Duration::from_secs(5))
        .idempotency_key(Key::UuidV7)
        .wait_on_conflict()
        .on_retry(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .build()?;
    let client = RetryLayer::new(policy).layer(Client::builder(TokioExecutor::new()).build_http());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = client.clone();
        clients.spawn(async move {
            let mut answers = Answers::default();
            for order in (number..transfers).step_by(CLIENTS as usize) {
                // Long enough that the server is killed many times.
                let pause = rand::rng().random_range(0..200);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                match client
                    .clone()
                    .oneshot(request(server, order, accounts))
                    .await?
                    .status()
                {
                    StatusCode::OK => answers.done += 1,
                    StatusCode::UNPROCESSABLE_ENTITY => answers.refused += 1,
                    status => return Err(format!("transfer {order} was answered {status}").into()),
                }
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(answers)
        });
    }
    let mut all = Answers::default();
    while let Some(answers) = clients.join_next().await {
        let answers = answers?.map_err(|error| error.to_string())?;
        all.done += answers.done;
        all.refused += answers.refused;
    }
    all.requests = transfers + retries.load(Ordering::Relaxed);
    Ok(all)
}

/// Makes a transfer between two accounts at random, of which some ask for too much.
fn request(server: SocketAddr, order: u32, accounts: i32) -> Request<Full<Bytes>> {
    let mut rng = rand::rng();
    let from = rng.random_range(1..=accounts);
    let to = 1 + (from + rng.random_range(0..accounts - 1)) % accounts;
    let amount = rng.random_range(1..600);
    let body = serde_json::json!({ "order": order, "from": from, "to": to, "amount": amount });
    Request::post(format!("http://{server}/transfer"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("a valid request")
}
