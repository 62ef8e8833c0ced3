use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use super::probe::PATIENCE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// The ways in which a client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HangUp {
    /// It closes its HTTP/1 connection.
    Close,
    /// Its HTTP/1 connection is reset: RST instead of FIN.
    Reset,
    /// It resets the stream, and its HTTP/2 connection stays.
    StreamReset,
    /// Its HTTP/2 connection is closed with the stream open.
    ConnectionDrop,
}

impl HangUp {
    pub(crate) const ALL: [Self; 4] = [
        Self::Close,
        Self::Reset,
        Self::StreamReset,
        Self::ConnectionDrop,
    ];

    pub(crate) const fn version(self) -> Version {
        match self {
            Self::Close | Self::Reset => Version::Http1,
            Self::StreamReset | Self::ConnectionDrop => Version::Http2,
        }
    }
}

/// A connection of a client.
pub(crate) struct Client {
    address: SocketAddr,
    sender: Sender,
    connection: Connection,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A response, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::on(stream, version).await
    }

    /// Connects so that a hang-up of this kind can follow.
    pub(crate) async fn connect_for(address: SocketAddr, hang_up: HangUp) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        if hang_up == HangUp::Reset {
            stream.set_zero_linger().unwrap();
        }
        Self::on(stream, hang_up.version()).await
    }

    async fn on(stream: TcpStream, version: Version) -> Self {
        let address = stream.peer_addr().unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = TokioIo::new(stream);
        let (sender, connection) = match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                let connection = Connection::of(connection.with_upgrades());
                (Sender::Http1(sender), connection)
            }
            Version::Http2 => {
                let handshake = http2::handshake(TokioExecutor::new(), stream);
                let (sender, connection) = handshake.await.unwrap();
                (Sender::Http2(sender), Connection::of(connection))
            }
        };
        Self {
            address,
            sender,
            connection,
        }
    }

    /// Sends a request, and returns its response with the body yet to read.
    pub(crate) async fn open(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.send(self.address, request).await
    }

    /// Sends a request and reads its response whole.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let answer = async { Answer::read(self.open(request).await.unwrap()).await };
        let answer = timeout(PATIENCE, answer).await;
        answer.expect("an answer in time")
    }

    /// Sends a request to `/` under a key.
    pub(crate) async fn post(&mut self, key: &str) -> Answer {
        self.send(keyed(key).body(Full::default()).unwrap()).await
    }

    /// Sends a request without a body, for a hang-up to follow.
    pub(crate) fn begin(self, request: request::Builder) -> Begun {
        let request = request.body(Full::default()).unwrap();
        let Self {
            address,
            sender,
            connection,
        } = self;
        let stays = match &sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(sender.clone()),
        };
        let call = tokio::spawn(async move {
            let mut sender = sender;
            let response = sender.send(address, request).await;
            // The response is held and never read: a long one fills the connection.
            std::future::pending::<()>().await;
            drop((response, sender));
        });
        Begun {
            call,
            connection,
            stays,
        }
    }
}

impl Sender {
    async fn send(
        &mut self,
        address: SocketAddr,
        mut request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let target = request.uri().path_and_query().unwrap().clone();
        let host = request.headers_mut().remove(header::HOST);
        let host = host.unwrap_or_else(|| address.to_string().parse().unwrap());
        match self {
            Self::Http1(sender) => {
                *request.uri_mut() = target.into();
                request.headers_mut().insert(header::HOST, host);
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let uri = Uri::builder().scheme("http").authority(host.as_bytes());
                *request.uri_mut() = uri.path_and_query(target).build().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// A task that carries a connection, which is closed when this is dropped.
pub(crate) struct Connection(JoinHandle<()>);

impl Connection {
    fn of<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) -> Self {
        // How a connection ends is for its requests to tell.
        Self(tokio::spawn(async move { drop(connection.await) }))
    }

    async fn close(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request whose client may go away.
pub(crate) struct Begun {
    call: JoinHandle<()>,
    connection: Connection,
    stays: Option<http2::SendRequest<Full<Bytes>>>,
}

/// What is left of a client that only reset a stream.
pub(crate) type Gone = Option<(Connection, Option<http2::SendRequest<Full<Bytes>>>)>;

impl Begun {
    /// Goes away. The connection that stays, if one does, is closed with what this returns.
    pub(crate) async fn hang_up(self, hang_up: HangUp) -> Gone {
        let gone = if hang_up == HangUp::StreamReset {
            Some((self.connection, self.stays))
        } else {
            self.connection.close().await;
            None
        };
        self.call.abort();
        let _ = self.call.await;
        gone
    }
}

/// Begins a request to `/` under a key.
pub(crate) fn keyed(key: &str) -> request::Builder {
    Request::post("/").header("idempotency-key", key)
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body");
        Self {
            status: parts.status,
            headers: parts.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}
