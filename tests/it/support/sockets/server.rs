use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    routing::{MethodRouter, post},
};
use http::Response;
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::Service;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, Store};

use super::{Gate, Probe, Step};

/// A server of HTTP/1 and HTTP/2 on a loopback socket, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<S, B>(service: S) -> Self
    where
        S: Service<http::Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TowerToHyperService::new(service);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Clients that go away are what is tested: their errors say nothing.
                    let _ = server
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One route with the layer on it, `/`, that tells when its client goes.
pub(crate) fn app<S: Store>(
    probe: &Probe,
    layer: IdempotencyLayer<S>,
    handler: MethodRouter,
) -> Router {
    watched(probe, Router::new().route("/", handler).layer(layer))
}

/// Runs under the request's key until the gate opens, and answers with the number of the run.
pub(crate) fn gated(probe: &Probe, gate: &Gate) -> MethodRouter {
    let (probe, gate) = (probe.clone(), gate.clone());
    post(async move |context: IdempotencyContext| {
        let key = context.key().as_str();
        let running = probe.run(key);
        gate.pass().await;
        running.end();
        format!("run {} of {key}", probe.runs(key))
    })
}

/// Tells when the server drops the future of a response.
fn watched(probe: &Probe, router: Router) -> Router {
    let probe = probe.clone();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let client = Attached(Some(probe.clone()));
        async move {
            let response = next.run(request).await;
            client.stays();
            response
        }
    }))
}

struct Attached(Option<Probe>);

impl Attached {
    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(probe) = &self.0 {
            probe.note(Step::ClientGone);
        }
    }
}
