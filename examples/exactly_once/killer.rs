use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use rand::RngExt;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

/// Runs the server as a process of its own, and kills it at random moments.
pub(crate) struct Killer {
    address: SocketAddr,
    url: String,
    server: Child,
    kills: u32,
}

impl Killer {
    pub(crate) fn start(url: &str) -> io::Result<Self> {
        // A port that was free a moment ago; the server has it through all its lives.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self {
            address,
            url: url.to_owned(),
            server: start(address, url)?,
            kills: 0,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn kills(&self) -> u32 {
        self.kills
    }

    /// Kills the server a while after it has come up, and starts it again.
    pub(crate) async fn kill_one(&mut self) -> io::Result<()> {
        // On a busy machine it takes longer to start than it is to live.
        while TcpStream::connect(self.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let life = rand::rng().random_range(100..500);
        tokio::time::sleep(Duration::from_millis(life)).await;
        self.server.kill().await?;
        self.kills += 1;
        self.server = start(self.address, &self.url)?;
        Ok(())
    }
}

fn start(address: SocketAddr, url: &str) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(["--serve", &address.to_string(), url])
        .kill_on_drop(true)
        .spawn()
}
