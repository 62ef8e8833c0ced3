use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{TTL, ledger::Ledger};

/// How often a client that is not answered asks again, and for how long.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client was told.
struct Answer {
    status: u16,
    replayed: bool,
    body: String,
}

/// Sends requests of all kinds, one key after the other, until it is told to stop.
pub(crate) async fn ask_on(
    id: String,
    address: watch::Receiver<SocketAddr>,
    stop: watch::Receiver<bool>,
    ledger: &Ledger,
) {
    let mut rng = Rng::new();
    for number in 0_u64.. {
        if *stop.borrow() {
            return;
        }
        let key = format!("{id}-{number}");
        let kind = match rng.u8(..20) {
            0 => "large",
            1 => "fail",
            2 => "panic",
            3 => "break",
            4..7 => "stream",
            7..11 => "slow",
            _ => "fast",
        };
        let client = Client {
            key: &key,
            kind,
            address: &address,
            ledger,
        };
        match kind {
            // Nobody knows what these have done: they may be run again.
            "fail" | "panic" | "break" => {
                client.send(None).await;
                client.send(None).await;
            }
            _ => client.ask(&mut rng).await,
        }
        ledger.settle(&key);
        ledger.count(|totals| totals.keys += 1);
        sleep(Duration::from_millis(rng.u64(0..10))).await;
    }
}

struct Client<'a> {
    key: &'a str,
    kind: &'a str,
    address: &'a watch::Receiver<SocketAddr>,
    ledger: &'a Ledger,
}

impl Client<'_> {
    /// Asks until it is answered, and once more: it was run once, and both answers are one.
    async fn ask(&self, rng: &mut Rng) {
        if rng.u8(..4) == 0 {
            self.send(Some(Duration::from_millis(rng.u64(0..40)))).await;
        }
        if rng.u8(..4) == 0 {
            // Two at once.
            tokio::join!(self.send(None), self.send(None));
        }
        let start = Instant::now();
        let Some(first) = self.ask_until_answered().await else {
            let what = format!("{} {} was not answered in time", self.kind, self.key);
            return self.ledger.lose(what);
        };
        let Some(again) = self.ask_until_answered().await else {
            let what = format!("{} {} was not answered again", self.kind, self.key);
            return self.ledger.lose(what);
        };
        if start.elapsed() > TTL / 2 {
            // It may have expired in between.
            return;
        }
        let same = again.body == first.body || self.kind == "large";
        let runs = self.ledger.settle(self.key);
        if !again.replayed || !same || runs != 1 {
            self.ledger.lose(format!(
                "{} {}: run {runs} times, answered {:?}, then {:?} (replayed: {})",
                self.kind, self.key, first.body, again.body, again.replayed
            ));
        }
    }

    async fn ask_until_answered(&self) -> Option<Answer> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(answer) = self.send(None).await
                && answer.status == 200
            {
                return Some(answer);
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Sends a request on a connection of its own, and hangs up in time; none where no whole
    /// answer comes.
    async fn send(&self, patience: Option<Duration>) -> Option<Answer> {
        self.ledger.count(|totals| totals.requests += 1);
        let exchange = timeout(patience.unwrap_or(PATIENCE), self.exchange()).await;
        if exchange.is_err() && patience.is_some() {
            self.ledger.count(|totals| totals.hang_ups += 1);
        }
        exchange.ok().flatten()
    }

    async fn exchange(&self) -> Option<Answer> {
        let address = *self.address.borrow();
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!(
            "POST /{} HTTP/1.0\r\nidempotency-key: {}\r\ncontent-length: 0\r\n\r\n",
            self.kind, self.key
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Answer {
            status: head.split(' ').nth(1)?.parse().ok()?,
            replayed: head.contains("idempotency-replayed: true"),
            body: body.to_owned(),
        })
    }
}
