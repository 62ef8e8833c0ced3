//! A payment service that charges once, however often it is asked.
//!
//! cargo run --example payments [ADDR]
//! cargo run --features sqlite --example payments -- [ADDR] --store sqlite:payments.db
//!
//! With the second, a payment that was made is known after a restart too.

use std::{env, error::Error, process::ExitCode, sync::Arc};

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyLayer, MemoryStore, Store};
use uuid::Uuid;

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payments: {error}");
            ExitCode::from(2)
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let (mut address, mut store) = ("127.0.0.1:5000".to_owned(), "memory".to_owned());
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--store" => {
                store = args
                    .next()
                    .ok_or("--store needs a URL: sqlite:payments.db")?;
            }
            _ => address = arg,
        }
    }
    let idempotency = IdempotencyLayer::new(open(&store).await?)
        .header("X-Idempotency-Key")
        .require_key();
    let app = Router::new()
        .route("/process-payment", post(process_payment))
        .layer(idempotency);

    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("send this twice, and compare the payment ids:");
    println!("  curl -i -X POST http://{address}/process-payment -H 'X-Idempotency-Key: order-17'");
    println!("and this once, without a key:");
    println!("  curl -i -X POST http://{address}/process-payment");
    axum::serve(listener, app).await?;
    Ok(())
}

#[allow(clippy::unused_async, reason = "a file takes time to open")]
async fn open(store: &str) -> Result<Arc<dyn Store>, Box<dyn Error>> {
    match store.split_once(':') {
        None if store == "memory" => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => {
            let store = tower_idempotency::SqliteStore::open(path).await?;
            Ok(Arc::new(store))
        }
        #[cfg(not(feature = "sqlite"))]
        Some(("sqlite", _)) => Err("--store sqlite: needs a build with `--features sqlite`".into()),
        _ => Err(format!("--store {store:?} is neither memory nor sqlite:PATH").into()),
    }
}

async fn process_payment() -> Json<Value> {
    Json(json!({
        "message": "Payment processed successfully",
        "result": { "payment_id": Uuid::new_v4(), "status": "success" },
    }))
}
