//! A server on loopback that misbehaves on command.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with one connection.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Resets the connection before it reads a byte.
    ResetBefore,
    /// Reads the request, and resets the connection.
    ResetAfter,
    /// Reads the request, sends half of an answer's head, and resets the connection.
    ResetInHead,
    /// Reads the request, and closes the connection.
    Close,
    /// Reads the request, and never answers.
    Hang,
    /// Sends the head of an answer and half of its body.
    HalfBody,
    /// Sends a whole answer, reads the next request on the connection, and resets it.
    AnswerThenReset,
    /// Sends this answer.
    Answer(&'static str),
}

pub(crate) const OK: Fault = Fault::Answer("200 OK\r\n");
pub(crate) const CREATED: Fault = Fault::Answer("201 Created\r\n");
pub(crate) const UNAVAILABLE: Fault = Fault::Answer("503 Service Unavailable\r\n");

/// What the server read of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn key(&self) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut keys = fields.filter(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        keys.next().map(|(_, key)| key)
    }
}

/// Follows a list of faults, one for each connection; the last goes on for ever.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Faulty {
    pub(crate) fn start(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), faults)
    }

    pub(crate) fn start_at(address: SocketAddr, faults: impl IntoIterator<Item = Fault>) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            faults: Arc::new(Mutex::new(faults.into_iter().collect())),
            seen: Arc::default(),
        };
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(server.clone().accept(listener));
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/charges", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = self.clone();
            tokio::spawn(async move { server.serve(stream).await });
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let fault = self.next_fault();
        if matches!(fault, Fault::ResetBefore) {
            self.seen.lock().unwrap().push(Seen::default());
            return reset(&stream);
        }
        let seen = read_request(&mut stream).await?;
        self.seen.lock().unwrap().push(seen);
        match fault {
            Fault::ResetBefore => unreachable!("handled above"),
            Fault::ResetAfter => reset(&stream),
            Fault::ResetInHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nconte").await?;
                reset(&stream)
            }
            Fault::Close => Ok(()),
            Fault::Hang => {
                // Ends when the client gives up.
                stream.read_to_end(&mut Vec::new()).await.map(drop)
            }
            Fault::HalfBody => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nans")
                    .await
            }
            Fault::AnswerThenReset => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nanswer")
                    .await?;
                let seen = read_request(&mut stream).await?;
                self.seen.lock().unwrap().push(seen);
                reset(&stream)
            }
            Fault::Answer(head) => {
                let rest = "content-length: 6\r\nconnection: close\r\n\r\nanswer";
                stream
                    .write_all(format!("HTTP/1.1 {head}{rest}").as_bytes())
                    .await
            }
        }
    }

    fn next_fault(&self) -> Fault {
        let mut faults = self.faults.lock().unwrap();
        if faults.len() > 1 {
            faults.pop_front().unwrap()
        } else {
            faults.front().expect("a list with a fault").clone()
        }
    }
}

/// An address where nobody listens.
pub(crate) fn deaf_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A reset is what closing sends where nothing may linger.
fn reset(stream: &TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

async fn read_request(stream: &mut TcpStream) -> io::Result<Seen> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let is_complete = match content_length(head) {
            Some(length) => body.len() >= length,
            None => !head.to_lowercase().contains("chunked") || body.ends_with("0\r\n\r\n"),
        };
        if is_complete {
            let (head, body) = (head.to_owned(), body.to_owned());
            return Ok(Seen { head, body });
        }
    }
}

fn content_length(head: &str) -> Option<usize> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.parse().ok()
}
