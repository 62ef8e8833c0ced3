//! The server that is cut off.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, UnknownOutcome, store::OwnerToken};

use crate::{cut::Cut, cutting::Cutting, effects::Effects, point::Point};

/// How it is started, in this order.
pub(crate) struct Arguments {
    pub(crate) store: String,
    pub(crate) ledger: String,
    pub(crate) policy: String,
    pub(crate) lease: u64,
    pub(crate) cut: Option<Point>,
}

#[derive(Clone)]
struct Shop {
    cut: &'static Cut,
    ledger: Arc<File>,
    effects: Arc<Effects>,
}

pub(crate) async fn serve(arguments: Arguments) {
    let cut = Cut::at(arguments.cut);
    let (store, effects) = Effects::open(&arguments.store).await.expect("a store");
    let ledger = OpenOptions::new().append(true).open(&arguments.ledger);
    let shop = Shop {
        cut,
        ledger: Arc::new(ledger.expect("a ledger")),
        effects: Arc::new(effects),
    };
    let layer = IdempotencyLayer::new(Cutting { store, cut })
        .lease(Duration::from_millis(arguments.lease))
        .unknown_outcome(match arguments.policy.as_str() {
            "Refuse" => UnknownOutcome::Refuse,
            _ => UnknownOutcome::Retry,
        });
    let app = Router::new()
        .route("/charge", post(charge))
        .layer(layer)
        .layer(middleware::from_fn(reply))
        .route("/effects/{key}", get(effects_of))
        .layer(Extension(shop));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("it serves");
}

/// Does what is to be done once, and answers in two halves, which tell this run from any other.
async fn charge(Extension(shop): Extension<Shop>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let context: IdempotencyContext = request.extensions.get().cloned().expect("a key");
    let number = |name: &str| -> u64 {
        let value = request.headers.get(name).and_then(|it| it.to_str().ok());
        value.and_then(|it| it.parse().ok()).expect("a number")
    };
    let key = context.key().as_str().to_owned();
    let status = u16::try_from(number("x-status")).expect("a status");
    shop.cut.reach(Point::Started).await;
    shop.note(&format!("start {}", context.attempt()));
    if Effects::leave(&request.extensions, &key).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    tokio::time::sleep(Duration::from_millis(number("x-ms"))).await;
    shop.note("done");
    shop.cut.reach(Point::Done).await;
    let run = format!("run {:?}\n", OwnerToken::random().as_bytes());
    let halves = stream::iter([run, "whole\n".to_owned()]).enumerate();
    let body = halves.then(move |(index, half)| async move {
        if index == 1 {
            shop.cut.reach(Point::HalfAnswered).await;
        }
        Ok::<_, std::convert::Infallible>(Bytes::from(half))
    });
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Body::from_stream(body)).into_response()
}

/// What is around the layer.
async fn reply(Extension(shop): Extension<Shop>, request: Request, next: Next) -> Response {
    shop.cut.reach(Point::Received).await;
    let (parts, body) = next.run(request).await.into_parts();
    shop.cut.reach(Point::BeforeReply).await;
    let pieces = body.into_data_stream().enumerate();
    let body = pieces.then(move |(index, piece)| async move {
        if index == 1 {
            shop.cut.reach(Point::HalfReplied).await;
        }
        piece
    });
    Response::from_parts(parts, Body::from_stream(body))
}

async fn effects_of(Extension(shop): Extension<Shop>, Path(key): Path<String>) -> String {
    let count = shop.effects.count(&key).await.expect("a database");
    count.map_or_else(String::new, |count| count.to_string())
}

impl Shop {
    fn note(&self, event: &str) {
        // One write, so that a kill leaves all of it or nothing.
        let line = format!("{event}\n");
        (&*self.ledger)
            .write_all(line.as_bytes())
            .expect("the ledger takes another line");
    }
}
