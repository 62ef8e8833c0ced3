//! What a client sees over a real connection on the loopback: one request after the other.

use std::time::{Duration, Instant};

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::common::{
    figure::Figure,
    rounds::{interleaved, single_threaded},
    variant::{Variant, charges},
};

const ROUNDS: usize = 100;
const REQUESTS: u32 = 100;

pub(crate) fn print() {
    // The server has a thread of its own, as the client has.
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for (protocol, is_http2) in [("HTTP/1.1", false), ("HTTP/2", true)] {
        let runtime = single_threaded();
        let connections: Vec<_> = charges()
            .into_iter()
            .map(|variant| Connection::open(variant, is_http2, &server))
            .collect();
        let times = interleaved(ROUNDS, &connections, |connection| {
            runtime.block_on(connection.send(REQUESTS))
        });
        println!("{protocol:<16} {:>8} {:>8}", "us", "x bare");
        for (connection, time) in connections.iter().zip(&times) {
            let ratio = Figure::unbounded(time.over(&times[0]));
            let micros = time.median() * 1e6;
            println!("{:<16} {micros:>8.1} {ratio}", connection.variant.name);
        }
    }
}

struct Connection {
    variant: Variant,
    client: Client<HttpConnector, Body>,
    origin: String,
}

impl Connection {
    fn open(variant: Variant, is_http2: bool, server: &Runtime) -> Self {
        let listener = server.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("bound");
        server.spawn(serve(listener, variant.router()));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut client = Client::builder(TokioExecutor::new());
        Self {
            variant,
            client: client.http2_only(is_http2).build(connector),
            origin: format!("http://{address}"),
        }
    }

    /// Returns the time of one request.
    async fn send(&self, requests: u32) -> Duration {
        let mut time = Duration::ZERO;
        for _ in 0..requests {
            let (mut parts, body) = self.variant.request().into_parts();
            parts.uri = format!("{}{}", self.origin, parts.uri)
                .parse()
                .expect("a URI");
            let request = axum::http::Request::from_parts(parts, body);
            let start = Instant::now();
            let response = self.client.request(request).await.expect("an answer");
            assert!(response.status().is_success());
            response.into_body().collect().await.expect("a body");
            time += start.elapsed();
        }
        time / requests
    }
}

async fn serve(listener: TcpListener, router: Router) {
    use axum::serve::ListenerExt;

    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).await.expect("it serves");
}
