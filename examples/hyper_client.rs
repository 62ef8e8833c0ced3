//! The `client` example without reqwest: hyper-util's client behind the retry layer.
//!
//! ```sh
//! cargo run --features client --example hyper_client -- [URL] [--strategy fixed|exponential|jitter] [--retries 3] [--delay 2s]
//! ```

mod client_cli;

use std::{error::Error, process::ExitCode};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_idempotency::client::{RetryInfo, RetryLayer, RetryPolicy};

use client_cli::Answer;

#[tokio::main]
async fn main() -> ExitCode {
    client_cli::run(pay).await
}

async fn pay(url: &str, policy: &RetryPolicy) -> Result<Answer, Box<dyn Error>> {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .service(Client::builder(TokioExecutor::new()).build_http());
    let request = Request::post(url).body(Empty::<Bytes>::new())?;
    let response = client.oneshot(request).await?;
    let status = response.status();
    let info = RetryInfo::of(response.extensions());
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status, info, body })
}
