use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

use super::{Road, Weather};

/// One connection through a proxy.
#[derive(Clone)]
pub(super) struct Line {
    number: u64,
    road: watch::Receiver<Road>,
}

impl Line {
    pub(super) const fn new(number: u64, road: watch::Receiver<Road>) -> Self {
        Self { number, road }
    }

    /// Passes bytes until either side closes, or the line is cut.
    pub(super) async fn pass(mut self, client: TcpStream, server: TcpStream) {
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let there = self.clone().carry(from_client, to_server, false);
        let back = self.clone().carry(from_server, to_client, true);
        tokio::select! {
            _ = there => {}
            _ = back => {}
            _ = self.road.wait_for(|road| road.cut > self.number) => {}
        }
    }

    /// Carries bytes one way.
    async fn carry(
        self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        to_client: bool,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            let bytes = &buffer[..length];
            let road = *self.road.borrow();
            match road.weather {
                _ if road.swallowed > self.number => {}
                Weather::BlackHole => {}
                Weather::Late(pause) if to_client => {
                    sleep(pause).await;
                    to.write_all(bytes).await?;
                }
                Weather::Trickle(pause) if to_client => {
                    for byte in bytes {
                        to.write_all(&[*byte]).await?;
                        sleep(pause).await;
                    }
                }
                _ => to.write_all(bytes).await?,
            }
        }
    }
}
