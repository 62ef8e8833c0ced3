use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{AppendHeaders, IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, Store};

use crate::ledger::Ledger;

/// What the routes count.
#[derive(Default)]
struct Runs {
    started: AtomicU64,
    finished: AtomicU64,
    failed_once: AtomicBool,
    ledger: Option<Ledger>,
}

type Shared = Arc<Runs>;

pub(crate) fn router<S: Store>(layer: IdempotencyLayer<S>, ledger: Option<Ledger>) -> Router {
    let runs = Shared::new(Runs {
        ledger,
        ..Runs::default()
    });
    let counted = middleware::from_fn_with_state(Shared::clone(&runs), count_run);
    let nested = Router::new()
        .route("/charge", post(charge))
        .route_layer(counted.clone())
        .layer(layer.clone());
    Router::new()
        .route("/echo", post(echo).put(echo).patch(echo).delete(echo))
        .route("/status/{code}", post(status))
        .route("/slow", post(slow))
        .route("/block", post(block))
        .route("/fail-first", post(fail_first))
        .route("/large", post(large))
        .route("/headers", post(headers))
        .route("/stream", post(chunks))
        .route("/sse", post(events))
        .route("/trailers", post(trailers))
        .route("/panic", post(panics))
        .route("/context", post(context))
        .route_layer(counted)
        .route("/counter", get(counter))
        .layer(layer)
        .nest("/nested/{id}", nested)
        .route("/reset", post(reset))
        .with_state(runs)
}

async fn count_run(State(runs): State<Shared>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<IdempotencyContext>().cloned();
    let note = |event| {
        if let Some(ledger) = &runs.ledger {
            ledger.append(event, context.as_ref());
        }
    };
    runs.started.fetch_add(1, SeqCst);
    note("start");
    if let Err(detail) = leave_effect(request.extensions(), context.as_ref()).await {
        let problem = json!({ "code": "store-unavailable", "detail": detail });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
    }
    let response = next.run(request).await;
    note("end");
    runs.finished.fetch_add(1, SeqCst);
    response
}

/// Leaves a row in the transaction of a run that has one.
#[allow(
    clippy::unused_async,
    unused_variables,
    reason = "some builds have no such store"
)]
async fn leave_effect(
    extensions: &Extensions,
    context: Option<&IdempotencyContext>,
) -> Result<(), String> {
    let Some(key) = context.map(|context| context.downstream_key("charge")) else {
        return Ok(());
    };
    #[cfg(feature = "postgres")]
    crate::postgres::leave_effect(extensions, &key)
        .await
        .map_err(|error| error.to_string())?;
    #[cfg(feature = "sqlite")]
    crate::sqlite::leave_effect(extensions, &key)
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}

async fn counter(State(runs): State<Shared>) -> Json<Value> {
    let (count, finished) = (runs.started.load(SeqCst), runs.finished.load(SeqCst));
    Json(json!({ "count": count, "finished": finished }))
}

async fn reset(State(runs): State<Shared>) -> StatusCode {
    runs.started.store(0, SeqCst);
    runs.finished.store(0, SeqCst);
    runs.failed_once.store(false, SeqCst);
    StatusCode::NO_CONTENT
}

async fn echo(headers: HeaderMap, body: Bytes) -> Response {
    let mut response = (StatusCode::CREATED, body).into_response();
    match headers.get(header::CONTENT_TYPE) {
        Some(value) => response
            .headers_mut()
            .insert(header::CONTENT_TYPE, value.clone()),
        None => response.headers_mut().remove(header::CONTENT_TYPE),
    };
    response
}

async fn status(Path(code): Path<u16>) -> Response {
    match StatusCode::from_u16(code) {
        Ok(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => status.into_response(),
        // Of those below 200, only 101 ends a request.
        Ok(status) if status == StatusCode::SWITCHING_PROTOCOLS || code >= 200 => {
            (status, format!("status:{code}")).into_response()
        }
        _ => (StatusCode::BAD_REQUEST, format!("not a status: {code}")).into_response(),
    }
}

/// How long to take.
#[derive(Deserialize)]
struct Pause {
    #[serde(default)]
    ms: u64,
}

impl Pause {
    fn duration(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

async fn slow(Query(pause): Query<Pause>) -> String {
    sleep(pause.duration()).await;
    format!("slept:{}", pause.ms)
}

async fn block(Query(pause): Query<Pause>) -> String {
    thread::sleep(pause.duration());
    format!("blocked:{}", pause.ms)
}

async fn fail_first(State(runs): State<Shared>, Query(pause): Query<Pause>) -> StatusCode {
    let first = !runs.failed_once.swap(true, SeqCst);
    sleep(pause.duration()).await;
    if first {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

#[derive(Deserialize)]
struct Size {
    #[serde(default)]
    bytes: usize,
}

async fn large(Query(size): Query<Size>) -> String {
    "x".repeat(size.bytes)
}

async fn headers() -> impl IntoResponse {
    AppendHeaders([
        (header::LOCATION, "/charges/1"),
        (header::ETAG, "\"v1\""),
        (header::HeaderName::from_static("x-custom"), "custom"),
        (header::CONTENT_ENCODING, "identity"),
        (header::LINK, "</charges/1>; rel=\"self\""),
        (header::LINK, "</charges>; rel=\"collection\""),
        (header::SET_COOKIE, "session=secret"),
        (header::DATE, "Tue, 15 Nov 1994 08:12:31 GMT"),
    ])
}

#[derive(Deserialize)]
struct Chunks {
    #[serde(default)]
    chunks: u32,
    #[serde(default)]
    ms: u64,
}

async fn chunks(Query(chunks): Query<Chunks>) -> Body {
    let pause = Duration::from_millis(chunks.ms);
    Body::from_stream(paced(chunks.chunks, pause, |index| {
        format!("chunk{index};")
    }))
}

async fn events() -> impl IntoResponse {
    let events = paced(5, Duration::from_millis(150), |index| {
        format!("data: {index}\n\n")
    });
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(events),
    )
}

/// Makes so many pieces, the first at once and the others after a pause each.
fn paced(
    count: u32,
    pause: Duration,
    piece: impl Fn(u32) -> String + Send,
) -> impl Stream<Item = Result<String, Infallible>> + Send {
    stream::unfold((0, piece), move |(index, piece)| async move {
        if index == count {
            return None;
        }
        if index > 0 {
            sleep(pause).await;
        }
        Some((Ok(piece(index)), (index + 1, piece)))
    })
}

async fn trailers() -> impl IntoResponse {
    let checksum = HeaderMap::from_iter([(
        header::HeaderName::from_static("x-checksum"),
        HeaderValue::from_static("abc"),
    )]);
    let body = Full::from("with trailers").with_trailers(async { Some(Ok(checksum)) });
    ([(header::TRAILER, "x-checksum")], Body::new(body))
}

async fn panics() {
    panic!("as asked");
}

async fn context(Query(pause): Query<Pause>, context: Option<IdempotencyContext>) -> Json<Value> {
    sleep(pause.duration()).await;
    Json(json!({
        "attempt": context.as_ref().map(IdempotencyContext::attempt),
        "fence": context.as_ref().and_then(IdempotencyContext::fence),
        "downstream_key": context.as_ref().map(|context| context.downstream_key("charge")),
    }))
}

async fn charge(Path(id): Path<String>) -> String {
    format!("charged {id}")
}
