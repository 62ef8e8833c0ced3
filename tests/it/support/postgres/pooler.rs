use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Lets every client in, as a pooler does whose server is down, and hangs up at the first statement.
#[derive(Debug)]
pub(crate) struct Pooler {
    port: u16,
    let_in: Arc<AtomicUsize>,
}

/// `AuthenticationOk` and `ReadyForQuery`.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

impl Pooler {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let let_in = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&let_in);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(client));
            }
        });
        Self { port, let_in }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    /// Returns how many clients were let in since this was last asked.
    pub(crate) fn let_in(&self) -> usize {
        self.let_in.swap(0, Ordering::SeqCst)
    }
}

async fn serve(mut client: TcpStream) -> std::io::Result<()> {
    let length = client.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    client.read_exact(&mut startup).await?;
    client.write_all(WELCOME).await?;
    client.read_u8().await?;
    Ok(())
}
