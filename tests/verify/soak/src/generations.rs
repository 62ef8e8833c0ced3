use std::{future::IntoFuture, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower_idempotency::{Drain, Store};

use crate::{
    application::{layer, router},
    ledger::Ledger,
};

/// Servers that follow one another, on one store.
pub(crate) struct Generations {
    store: Arc<dyn Store>,
    ledger: Arc<Ledger>,
    /// Where clients find the one that serves.
    pub(crate) address: watch::Sender<SocketAddr>,
    serving: Serving,
}

struct Serving {
    address: SocketAddr,
    drain: Drain,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

impl Generations {
    pub(crate) async fn begin(store: Arc<dyn Store>, ledger: Arc<Ledger>) -> Self {
        let serving = Serving::start(Arc::clone(&store), &ledger).await;
        Self {
            store,
            ledger,
            address: watch::Sender::new(serving.address),
            serving,
        }
    }

    /// Starts a server, sends clients there, and drains the one before.
    pub(crate) async fn next(&mut self) {
        let next = Serving::start(Arc::clone(&self.store), &self.ledger).await;
        self.address.send_replace(next.address);
        let before = std::mem::replace(&mut self.serving, next);
        before.end(&self.ledger).await;
    }

    pub(crate) async fn end(self) {
        self.serving.end(&self.ledger).await;
    }
}

/// More than what an outage takes.
const LIMIT: Duration = Duration::from_secs(30);

impl Serving {
    async fn start(store: Arc<dyn Store>, ledger: &Arc<Ledger>) -> Self {
        let layer = layer(store);
        let drain = layer.drain_handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let serve = axum::serve(listener, router(layer, ledger))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        Self {
            address,
            drain,
            stop,
            server: tokio::spawn(serve.into_future()),
        }
    }

    async fn end(self, ledger: &Ledger) {
        self.stop.cancel();
        if let Err(left) = self.drain.drain(LIMIT).await {
            ledger.lose(format!("a drained server has lost something: {left}"));
        }
        if tokio::time::timeout(LIMIT, self.server).await.is_err() {
            ledger.lose("a drained server does not end".to_owned());
        }
        ledger.count(|totals| totals.drains += 1);
    }
}
