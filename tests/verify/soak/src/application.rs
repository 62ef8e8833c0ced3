use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::sleep;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, Store};

use crate::{TTL, ledger::Ledger};

/// More than the layer keeps of an answer.
const LARGE: usize = 64 << 10;

/// Makes the layer of one server.
pub(crate) fn layer(store: Arc<dyn Store>) -> IdempotencyLayer<Arc<dyn Store>> {
    IdempotencyLayer::new(store)
        .ttl(TTL)
        .wait(Duration::from_millis(200))
        .max_in_flight(256)
        .max_response_bytes(LARGE / 4)
}

/// Makes the handlers: what they do is in the path.
pub(crate) fn router(layer: IdempotencyLayer<Arc<dyn Store>>, ledger: &Arc<Ledger>) -> Router {
    let ledger = Arc::clone(ledger);
    let handler = move |request: Request| {
        let ledger = Arc::clone(&ledger);
        let (head, _) = request.into_parts();
        async move { answer(&head, &ledger).await }
    };
    Router::new().route("/{kind}", post(handler)).layer(layer)
}

async fn answer(head: &Parts, ledger: &Ledger) -> Response {
    let context: &IdempotencyContext = head.extensions.get().expect("a key");
    let run = ledger.ran(context.key().as_str());
    let said = format!("run {run}, attempt {}", context.attempt());
    match head.uri.path() {
        "/slow" => {
            sleep(Duration::from_millis(30)).await;
            said.into_response()
        }
        "/large" => vec![b'x'; LARGE].into_response(),
        "/fail" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/panic" => panic!("as told"),
        "/break" => {
            let pieces = [Ok(Bytes::from_static(b"half")), Err("broken")];
            Body::from_stream(stream::iter(pieces)).into_response()
        }
        "/stream" => {
            let pieces = [said, " and more".to_owned()].map(Ok::<_, Infallible>);
            Body::from_stream(stream::iter(pieces)).into_response()
        }
        _ => said.into_response(),
    }
}
