//! What lies between a store and its server: a proxy that passes bytes, or does not.

mod line;
mod weather;

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use self::line::Line;
pub(crate) use self::weather::Weather;

/// A proxy on a loopback port, until it is dropped. It knows nothing of what it passes.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    road: Arc<watch::Sender<Road>>,
    accepting: JoinHandle<()>,
}

/// How things stand for all connections.
#[derive(Debug, Clone, Copy)]
struct Road {
    /// The port of the server to which new connections go.
    upstream: u16,
    weather: Weather,
    /// How many connections there were. Each is told from the others by this.
    connections: u64,
    /// Connections before this one are closed.
    cut: u64,
    /// Connections before this one pass nothing, and stay open.
    swallowed: u64,
}

impl Proxy {
    /// Listens for a server on this port.
    pub(crate) async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let road = Arc::new(watch::Sender::new(Road {
            upstream,
            weather: Weather::Clear,
            connections: 0,
            cut: 0,
            swallowed: 0,
        }));
        let shared = Arc::clone(&road);
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let mut now = *shared.borrow();
                shared.send_modify(|road| road.connections += 1);
                now.connections += 1;
                let road = shared.subscribe();
                tokio::spawn(async move {
                    // A server that is not there: the client's connection ends too.
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", now.upstream)).await {
                        Line::new(now.connections, road).pass(client, server).await;
                    }
                });
            }
        });
        Self {
            address,
            road,
            accepting,
        }
    }

    /// Sets how bytes pass from now on, also on connections that there are.
    pub(crate) fn weather(&self, weather: Weather) {
        self.road.send_modify(|road| road.weather = weather);
    }

    /// Closes all connections that there are.
    pub(crate) fn cut(&self) {
        self.road
            .send_modify(|road| road.cut = road.connections + 1);
    }

    /// Passes nothing any more on connections that there are, and leaves them open.
    pub(crate) fn swallow(&self) {
        self.road
            .send_modify(|road| road.swallowed = road.connections + 1);
    }

    /// Has new connections go to another server. Those that there are stay where they are.
    pub(crate) fn redirect(&self, upstream: u16) {
        self.road.send_modify(|road| road.upstream = upstream);
    }

    /// Returns how many connections were made.
    pub(crate) fn connections(&self) -> u64 {
        self.road.borrow().connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
