//! A gRPC service with the layer on it, called twice under one key: it charges once.
//!
//! cargo run --example tonic
//!
//! `payments.rs` is what `tonic-build` would write, so that no `protoc` is needed.

mod payments;

use std::{error::Error, process::ExitCode};

use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server, server::TcpIncoming},
};
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, MemoryStore};
use uuid::Uuid;

use self::payments::{ChargeReply, ChargeRequest, Payments, PaymentsClient, PaymentsServer};

/// Charges anew whenever it is asked.
struct Bank;

#[tonic::async_trait]
impl Payments for Bank {
    async fn charge(
        &self,
        request: Request<ChargeRequest>,
    ) -> Result<Response<ChargeReply>, Status> {
        let context = request.extensions().get::<IdempotencyContext>();
        let context = context.ok_or_else(|| Status::internal("the layer is missing"))?;
        Ok(Response::new(ChargeReply {
            charge_id: Uuid::new_v4().to_string(),
            cents: request.get_ref().cents,
            attempt: context.attempt(),
        }))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("tonic: the second call was not answered as the first");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tonic: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves, calls, and says whether one call of two was carried out.
async fn run() -> Result<bool, Box<dyn Error>> {
    // Named, so that health checks and reflection need no key, and streams are not read ahead.
    let idempotency = IdempotencyLayer::new(MemoryStore::new())
        .covers(|parts| parts.uri.path() == "/payments.Payments/Charge")
        .require_key();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder()
        .layer(idempotency)
        .add_service(PaymentsServer::new(Bank))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);

    let channel = Channel::from_shared(format!("http://{address}"))?;
    let mut client = PaymentsClient::new(channel.connect().await?);
    let first = client.charge(call("order-17", 1250)?).await?;
    let second = client.charge(call("order-17", 1250)?).await?;
    println!("first call:  {}", describe(&first));
    println!("second call: {}", describe(&second));
    let other = client.charge(call("order-17", 9900)?).await;
    let other = other.expect_err("the key belongs to another request");
    println!("another amount under that key: {:?}", other.code());

    let replayed = second.metadata().get("idempotency-replayed");
    Ok(first.get_ref() == second.get_ref()
        && replayed.is_some_and(|replayed| replayed == "true")
        && [&first, &second].map(grpc_status) == [Some("0"); 2]
        && other.code() == tonic::Code::InvalidArgument)
}

fn call(key: &str, cents: u64) -> Result<Request<ChargeRequest>, Box<dyn Error>> {
    let mut request = Request::new(ChargeRequest { cents });
    request
        .metadata_mut()
        .insert("idempotency-key", key.parse()?);
    Ok(request)
}

fn describe(reply: &Response<ChargeReply>) -> String {
    let charged = reply.get_ref();
    let status = grpc_status(reply).unwrap_or("missing");
    let replayed = reply.metadata().contains_key("idempotency-replayed");
    format!(
        "charge {} of {} cents, attempt {}, grpc-status {status}, replayed: {replayed}",
        charged.charge_id, charged.cents, charged.attempt
    )
}

/// Returns what the trailers said; tonic puts them beside the headers.
fn grpc_status(reply: &Response<ChargeReply>) -> Option<&str> {
    reply.metadata().get("grpc-status")?.to_str().ok()
}
