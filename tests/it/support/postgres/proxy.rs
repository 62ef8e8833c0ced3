use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Passes messages between clients and a server, counts them, and cuts all lines at one of them.
///
/// What comes first on a connection is of the client's, and has no type (protocol version 3).
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    counted: Arc<AtomicUsize>,
    cut_at: Arc<AtomicUsize>,
    cuts: watch::Sender<usize>,
}

impl Proxy {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            counted: Arc::default(),
            cut_at: Arc::new(AtomicUsize::new(usize::MAX)),
            cuts: watch::Sender::new(0),
        };
        let lines = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                lines.pass(from_client, to_server, true);
                lines.pass(from_server, to_client, false);
            }
        });
        proxy
    }

    /// Cuts all lines in place of the message of this number, counted from now on, whoever sends
    /// it; odd ones let that one through first.
    pub(crate) fn cut_at(&self, number: usize) {
        self.counted.store(0, Ordering::SeqCst);
        self.cut_at.store(number, Ordering::SeqCst);
    }

    /// Returns whether the lines were cut, and cuts them no more.
    pub(crate) fn has_cut(&self) -> bool {
        let cut_at = self.cut_at.swap(usize::MAX, Ordering::SeqCst);
        self.counted.load(Ordering::SeqCst) * 2 > cut_at
    }

    fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut first: bool) {
        let proxy = self.clone();
        let mut cuts = self.cuts.subscribe();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = message(&mut from, first) => message,
                    _ = cuts.changed() => return,
                };
                let Ok(message) = message else { return };
                first = false;
                let number = proxy.counted.fetch_add(1, Ordering::SeqCst);
                let cut_at = proxy.cut_at.load(Ordering::SeqCst);
                let is_last = number == cut_at / 2;
                if !is_last || cut_at % 2 == 1 {
                    // What was sent before arrives, though its sender is gone.
                    if to.write_all(&message).await.is_err() {
                        return;
                    }
                }
                if is_last {
                    proxy.cuts.send_modify(|cuts| *cuts += 1);
                    return;
                }
            }
        });
    }
}

async fn message(from: &mut OwnedReadHalf, first: bool) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    if !first {
        message.push(from.read_u8().await?);
    }
    let length = from.read_u32().await?;
    message.extend(length.to_be_bytes());
    let start = message.len();
    message.resize(start + length as usize - 4, 0);
    from.read_exact(&mut message[start..]).await?;
    Ok(message)
}
