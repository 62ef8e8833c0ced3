//! Two servers on one store: whichever is asked, a payment is made once.
//!
//! ```sh
//! cargo run --features redis --example redis [redis://127.0.0.1:6379]
//! ```

use std::{env, error::Error, future::IntoFuture, process::ExitCode};

use axum::{Router, routing::post};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyLayer, RedisStore};
use uuid::Uuid;

#[tokio::main]
async fn main() -> ExitCode {
    let url = env::args()
        .nth(1)
        .unwrap_or_else(|| "redis://127.0.0.1:6379".into());
    match serve(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("redis: {error}");
            ExitCode::from(2)
        }
    }
}

const KEY: &str = "-H 'Idempotency-Key: order-17'";

/// Servers of one service have one name. A request for another name is another request.
const HOST: &str = "-H 'Host: shop.example'";

async fn serve(url: &str) -> Result<(), Box<dyn Error>> {
    let (first, second) = (listen(url).await?, listen(url).await?);
    let addresses = [first.0.local_addr()?, second.0.local_addr()?];
    for address in addresses {
        println!("listening on http://{address}");
    }
    println!("two servers, one store; ask both, and compare the payment ids:");
    for address in addresses {
        println!("  curl -i -X POST http://{address}/pay {KEY} {HOST}");
    }
    tokio::try_join!(
        axum::serve(first.0, first.1).into_future(),
        axum::serve(second.0, second.1).into_future(),
    )?;
    Ok(())
}

/// Makes a server with a store of its own, as if it were another process.
async fn listen(url: &str) -> Result<(TcpListener, Router), Box<dyn Error>> {
    let store = RedisStore::connect(url).await?;
    for warning in store.warnings() {
        eprintln!("redis: warning: {warning}");
    }
    let layer = IdempotencyLayer::new(store).require_key();
    let app = Router::new().route("/pay", post(pay)).layer(layer);
    Ok((TcpListener::bind("127.0.0.1:0").await?, app))
}

async fn pay() -> String {
    format!("paid, id {}\n", Uuid::new_v4())
}
