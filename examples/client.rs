//! Pays at the `payments` example, and asks again under the same key until it knows.
//!
//! ```sh
//! cargo run --features reqwest-013 --example client -- [URL] [--strategy fixed|exponential|jitter] [--retries 3] [--delay 2s]
//! ```
//!
//! Start `cargo run --example payments` in another terminal; or do not, and see it give up.

mod client_cli;

use std::{error::Error, process::ExitCode};

use reqwest_013 as reqwest; // where only one version is used, it is called `reqwest` already
use tower_idempotency::client::{RetryInfo, RetryPolicy, SendRetry};

use client_cli::Answer;

#[tokio::main]
async fn main() -> ExitCode {
    client_cli::run(pay).await
}

async fn pay(url: &str, policy: &RetryPolicy) -> Result<Answer, Box<dyn Error>> {
    let http = reqwest::Client::new();
    let response = http.post(url).send_retry(policy).await?;
    Ok(Answer {
        status: response.status(),
        info: RetryInfo::of(response.extensions()),
        body: response.text().await?,
    })
}
