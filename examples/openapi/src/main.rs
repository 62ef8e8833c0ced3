//! The same service described twice, by utoipa and by aide, with what the layer adds: the key's header, and the problems.
//!
//! `cargo run -p openapi -- [ADDR]`

mod fragment;
#[cfg(test)]
mod tests;
mod with_aide;
mod with_utoipa;

use std::{env, error::Error, process::ExitCode};

use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyLayer, MemoryStore};

#[derive(Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
struct Charge {
    cents: u64,
}

#[derive(Serialize, schemars::JsonSchema, utoipa::ToSchema)]
struct Receipt {
    charged: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("openapi: {error}");
            ExitCode::from(2)
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:5000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("  curl http://{address}/utoipa/openapi.json");
    println!("  curl http://{address}/aide/openapi.json");
    axum::serve(listener, app()).await?;
    Ok(())
}

fn app() -> Router {
    Router::new()
        .nest("/utoipa", with_utoipa::app())
        .nest("/aide", with_aide::app())
}

fn idempotency() -> IdempotencyLayer<MemoryStore> {
    IdempotencyLayer::new(MemoryStore::new()).require_key()
}

fn charged(charge: &Charge) -> Json<Receipt> {
    Json(Receipt {
        charged: charge.cents,
    })
}
