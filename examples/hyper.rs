//! The layer around a plain hyper service, without axum, over HTTP/1 and HTTP/2.
//!
//! cargo run --example hyper [ADDR]

use std::{convert::Infallible, env, io, process::ExitCode};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};
use tower_idempotency::{IdempotencyLayer, MemoryStore, RequestBody};
use uuid::Uuid;

#[tokio::main]
async fn main() -> ExitCode {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:5001".into());
    let Err(error) = serve(&address).await;
    eprintln!("hyper: cannot serve on {address}: {error}");
    ExitCode::from(2)
}

async fn serve(address: &str) -> io::Result<Infallible> {
    let idempotency = IdempotencyLayer::new(MemoryStore::new()).require_key();
    let service = TowerToHyperService::new(idempotency.layer(service_fn(order)));

    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("send this twice, and compare the order ids:");
    println!("  curl -i http://{address} -d 'two apples' -H 'Idempotency-Key: order-17'");
    println!("the same over HTTP/2 is the same order:");
    println!(
        "  curl -i --http2-prior-knowledge http://{address} -d 'two apples' -H 'Idempotency-Key: order-17'"
    );
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let connection = server.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn order(
    request: Request<RequestBody<Incoming>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let what = request.into_body().collect().await?.to_bytes();
    let what = String::from_utf8_lossy(&what);
    let mut response = Response::new(format!("order {}: {what}\n", Uuid::new_v4()).into());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
