//! Answers that are more than a head and a body: trailers, streams, upgrades.

use std::convert::Infallible;

use axum::{
    body::Body,
    response::IntoResponse,
    routing::{MethodRouter, post},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};
use tower_idempotency::{Drain, IdempotencyContext, IdempotencyLayer};

use crate::support::sockets::{
    Answer, Client, PATIENCE, Probe, Server, Staged, Version, app, keyed,
};

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];
const LIMIT: usize = 1024;

async fn serve(handler: MethodRouter) -> (Server, Drain) {
    let probe = Probe::default();
    let layer = IdempotencyLayer::new(Staged::new(&probe)).max_response_bytes(LIMIT);
    let drain = layer.drain_handle();
    (Server::start(app(&probe, layer, handler)).await, drain)
}

fn checksum() -> HeaderMap {
    let name = HeaderName::from_static("x-checksum");
    HeaderMap::from_iter([(name, HeaderValue::from_static("abc"))])
}

#[tokio::test]
async fn trailers_are_sent_first_and_replayed() {
    let body = |content: &'static str| {
        let frames = Full::<Bytes>::from(content).with_trailers(async { Some(Ok(checksum())) });
        Body::new(frames)
    };
    let handler = post(async move |content: String| {
        let content = if content.is_empty() { "" } else { "content" };
        ([(header::TRAILER, "x-checksum")], body(content))
    });
    let (server, _) = serve(handler).await;
    for version in BOTH {
        let mut client = Client::connect(server.address, version).await;
        for content in ["content", ""] {
            let mut answers = Vec::new();
            for _ in 0..2 {
                let request = keyed(&format!("{version:?}-{content}")).header("te", "trailers");
                answers.push(client.send(request.body(content.into()).unwrap()).await);
            }
            let [first, second] = &answers[..] else {
                unreachable!()
            };
            for answer in &answers {
                assert_eq!(answer.text(), content, "{version:?}");
                assert_eq!(answer.trailers, Some(checksum()), "{version:?} {answer:?}");
                assert_eq!(answer.header("trailer"), Some("x-checksum"));
            }
            assert!(!first.is_replayed() && second.is_replayed());
        }
    }
}

/// Where a test sends the chunks of one response.
type Source = mpsc::Sender<Bytes>;

/// A handler that answers with what its test sends, under a content type.
fn fed(content_type: &'static str) -> (MethodRouter, mpsc::Receiver<Source>) {
    let (announce, sources) = mpsc::channel(1);
    let handler = post(async move || {
        let (source, chunks) = mpsc::channel(1);
        announce.send(source).await.unwrap();
        let chunks = stream::unfold(chunks, async |mut chunks: mpsc::Receiver<Bytes>| {
            let chunk = chunks.recv().await?;
            Some((Ok::<_, Infallible>(chunk), chunks))
        });
        let headers = [(header::CONTENT_TYPE, content_type), (header::LINK, "</a>")];
        (headers, Body::from_stream(chunks))
    });
    (handler, sources)
}

/// Has the handler send chunks, the first of which is to arrive before the others are made; checks
/// what a retry gets meanwhile and afterwards.
async fn check_stream(version: Version, content_type: &'static str, chunks: [String; 2]) {
    let chunks = chunks.map(Bytes::from);
    let (handler, mut sources) = fed(content_type);
    let (server, drain) = serve(handler).await;
    let mut client = Client::connect(server.address, version).await;
    let request = || keyed("a").body(Full::<Bytes>::default()).unwrap();
    let head = async { client.open(request()).await.unwrap() };
    let first = async {
        let source = sources.recv().await.unwrap();
        source.send(chunks[0].clone()).await.unwrap();
        source
    };
    let begun = timeout(PATIENCE, async { tokio::join!(head, first) }).await;
    let (mut response, source) = begun.expect("a head before the end of the body");
    assert!(!response.headers().contains_key("idempotency-replayed"));
    let mut got = 0;
    while got < chunks[0].len() {
        let frame = timeout(PATIENCE, response.frame()).await.unwrap();
        got += frame.unwrap().unwrap().into_data().unwrap().len();
    }
    // The permit ends with the head; what runs on is the stream alone.
    assert_eq!(drain.in_flight(), 0);
    let mut retries = Client::connect(server.address, version).await;
    check_omitted(&retries.post("a").await);
    source.send(chunks[1].clone()).await.unwrap();
    drop(source);
    assert_eq!(Answer::read(response).await.body, chunks[1]);
    check_omitted(&retries.post("a").await);
    assert!(sources.try_recv().is_err(), "the handler ran again");
}

fn check_omitted(retry: &Answer) {
    assert_eq!(retry.status, 200);
    assert!(retry.is_replayed(), "{retry:?}");
    assert_eq!(retry.header("idempotency-replay"), Some("omitted"));
    assert_eq!(retry.header("content-type"), None);
    assert_eq!(retry.header("link"), Some("</a>"));
    assert_eq!(retry.body, "");
}

#[tokio::test]
async fn a_stream_over_the_limit_arrives_before_its_end_and_is_omitted_on_retry() {
    for version in BOTH {
        let chunks = ["x".repeat(LIMIT + 1), "the rest".into()];
        check_stream(version, "text/plain", chunks).await;
    }
}

#[tokio::test]
async fn an_event_stream_arrives_at_once_and_is_omitted_on_retry() {
    for version in BOTH {
        let events = ["data: 0\n\n".into(), "data: 1\n\n".into()];
        check_stream(version, "text/event-stream; charset=utf-8", events).await;
    }
}

#[tokio::test]
async fn an_upgrade_works_once_and_is_not_replayable() {
    let handler = post(
        async |_: IdempotencyContext, mut request: axum::extract::Request| {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut asked = [0; 4];
                stream.read_exact(&mut asked).await.unwrap();
                stream.write_all(&asked).await.unwrap();
            });
            let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
            (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
        },
    );
    let (server, drain) = serve(handler).await;
    let request = || -> Request<Full<Bytes>> {
        let request = keyed("a").header(header::CONNECTION, "upgrade");
        let request = request.header(header::UPGRADE, "echo");
        request.body(Full::default()).unwrap()
    };
    let mut client = Client::connect(server.address, Version::Http1).await;
    let response = client.open(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut answered = [0; 4];
    stream.read_exact(&mut answered).await.unwrap();
    assert_eq!(&answered, b"ping");
    assert_eq!(drain.in_flight(), 0);

    let mut client = Client::connect(server.address, Version::Http1).await;
    let retry = client.send(request()).await;
    assert_eq!(retry.status, 409);
    assert_eq!(retry.header("retry-after"), None);
    assert!(
        retry.text().contains(r#""code":"not-replayable""#),
        "{retry:?}"
    );
}
