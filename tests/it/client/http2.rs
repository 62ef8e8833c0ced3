//! What HTTP/2 tells of a stream that was not carried out.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use h2::{Reason, server};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_idempotency::client::{CallError, Failure, RetryInfo, RetryLayer, Stop};

use super::script::fixed;

/// What the server does with its first stream; it answers the others.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Reset(Reason),
    GoAway(Reason),
}

/// Serves HTTP/2 and counts the streams that came.
async fn serve(fault: Fault) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicU32::new(0));
    let counter = streams.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(connection(stream, fault, counter.clone()));
        }
    });
    (address, streams)
}

async fn connection(stream: TcpStream, fault: Fault, streams: Arc<AtomicU32>) {
    let is_first = streams.load(Ordering::Relaxed) == 0;
    match fault {
        Fault::GoAway(reason) if is_first => {
            streams.fetch_add(1, Ordering::Relaxed);
            return go_away(stream, reason).await.unwrap();
        }
        _ => {}
    }
    let mut connection = server::handshake(stream).await.unwrap();
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        let is_first = streams.fetch_add(1, Ordering::Relaxed) == 0;
        match fault {
            Fault::Reset(reason) if is_first => respond.send_reset(reason),
            _ => drop(respond.send_response(Response::new(()), true)),
        }
    }
}

/// Reads a request and says, in frames made by hand, that no stream was carried out.
async fn go_away(mut stream: TcpStream, reason: Reason) -> io::Result<()> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GO_AWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];
    const LAST_STREAM: [u8; 4] = [0; 4];

    stream.write_all(&SETTINGS).await?;
    let mut read = Vec::new();
    while !has_headers(&read) {
        stream.read_buf(&mut read).await?;
    }
    stream.write_all(&GO_AWAY).await?;
    stream.write_all(&LAST_STREAM).await?;
    stream.write_all(&u32::from(reason).to_be_bytes()).await?;
    stream.read_to_end(&mut read).await.map(drop)
}

/// Whether a HEADERS frame came after the preface.
fn has_headers(read: &[u8]) -> bool {
    let mut frames = read.get(24..).unwrap_or_default();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        if *kind == 1 {
            return true;
        }
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}

async fn call(address: SocketAddr, key: Option<&str>) -> Result<RetryInfo, CallError> {
    let client = legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .service(client);
    let mut request = Request::post(format!("http://{address}/"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let response = service
        .oneshot(request.body(Full::from("order")).unwrap())
        .await?;
    Ok(RetryInfo::of(response.extensions()))
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_even_without_a_key() {
    for key in [None, Some("order-1")] {
        let (address, streams) = serve(Fault::Reset(Reason::REFUSED_STREAM)).await;
        assert_eq!(call(address, key).await.unwrap().attempts(), 2);
        assert_eq!(streams.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_stream_that_broke_otherwise_is_sent_again_only_under_a_key() {
    for fault in [
        Fault::Reset(Reason::INTERNAL_ERROR),
        Fault::Reset(Reason::CANCEL),
        Fault::GoAway(Reason::INTERNAL_ERROR),
        Fault::GoAway(Reason::NO_ERROR),
        Fault::GoAway(Reason::REFUSED_STREAM),
    ] {
        let (address, streams) = serve(fault).await;
        let error = call(address, None).await.unwrap_err();
        assert_eq!(error.failure(), Failure::Ambiguous, "{fault:?}");
        assert_eq!(error.info().unwrap().stop(), Stop::Unkeyed, "{fault:?}");
        assert_eq!(streams.load(Ordering::Relaxed), 1, "{fault:?}");

        let (address, streams) = serve(fault).await;
        assert_eq!(
            call(address, Some("order-1")).await.unwrap().attempts(),
            2,
            "{fault:?}"
        );
        assert_eq!(streams.load(Ordering::Relaxed), 2, "{fault:?}");
    }
}
