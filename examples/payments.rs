//! A payment service that charges once, however often it is asked.
//!
//! cargo run --example payments [ADDR]

use std::{env, io, process::ExitCode};

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyLayer, MemoryStore};
use uuid::Uuid;

#[tokio::main]
async fn main() -> ExitCode {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:5000".into());
    match serve(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payments: cannot listen on {address}: {error}");
            ExitCode::from(2)
        }
    }
}

async fn serve(address: &str) -> io::Result<()> {
    let idempotency = IdempotencyLayer::new(MemoryStore::new())
        .header("X-Idempotency-Key")
        .require_key();
    let app = Router::new()
        .route("/process-payment", post(process_payment))
        .layer(idempotency);

    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("send this twice, and compare the payment ids:");
    println!("  curl -i -X POST http://{address}/process-payment -H 'X-Idempotency-Key: order-17'");
    println!("and this once, without a key:");
    println!("  curl -i -X POST http://{address}/process-payment");
    axum::serve(listener, app).await
}

async fn process_payment() -> Json<Value> {
    Json(json!({
        "message": "Payment processed successfully",
        "result": { "payment_id": Uuid::new_v4(), "status": "success" },
    }))
}
