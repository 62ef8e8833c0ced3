use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tower_idempotency::UnknownOutcome;

use super::{Shown, Sighting, fleet::Fleet};
use crate::support::sockets::Dice;

/// Sends the requests of keys, each until it is answered, and hangs up when it has had enough.
pub(super) struct Client {
    fleet: Arc<Fleet>,
    lease: Duration,
    number: usize,
    policy: UnknownOutcome,
    path: String,
}

/// A response: its status and its body.
type Answer = (u16, Bytes);

/// What an attempt came to.
enum End {
    Shown(Shown),
    Unknown,
    Again,
    Odd(String),
}

/// How long a client that is not impatient waits for one attempt.
const PATIENT: Duration = Duration::from_secs(10);

/// How long a request is sent again at most.
const RESOLVED_WITHIN: Duration = Duration::from_secs(60);

impl Client {
    /// Makes the client of the key of this number: its policy, and how long its handler takes.
    pub(super) fn new(fleet: &Arc<Fleet>, lease: Duration, number: usize, dice: &mut Dice) -> Self {
        // Some run for longer than a lease, so that it has to be renewed.
        let ms = if dice.percent(5) {
            let lease = u64::try_from(lease.as_millis()).expect("a short lease");
            dice.roll(lease / 2..lease * 3 / 2)
        } else {
            dice.roll(0..40)
        };
        Self {
            fleet: Arc::clone(fleet),
            lease,
            number,
            policy: if number % 2 == 0 {
                UnknownOutcome::Retry
            } else {
                UnknownOutcome::Refuse
            },
            path: format!("/context?ms={ms}"),
        }
    }

    /// Sends one to three requests at the same time, to different servers, until all are answered.
    pub(super) async fn resolve(&self, dice: &mut Dice) -> Sighting {
        let copies = dice.roll(1..4);
        let first = dice.roll(0..64);
        let copies = (0..copies).map(|copy| self.send(first + copy, dice.for_part(copy)));
        let mut sighting = Sighting {
            number: self.number,
            ..Sighting::default()
        };
        for end in futures_util::future::join_all(copies).await {
            self.note(end, &mut sighting);
        }
        sighting
    }

    /// Asks once more, when all is quiet: what was answered is answered again.
    pub(super) async fn ask_again(&self, sighting: &mut Sighting, dice: Dice) {
        let end = self.send(self.number as u64, dice).await;
        sighting.forgotten = matches!(end, End::Unknown) && !sighting.shown.is_empty();
        self.note(end, sighting);
    }

    fn note(&self, end: End, sighting: &mut Sighting) {
        match end {
            End::Shown(shown) => sighting.shown.push(shown),
            End::Unknown if self.policy == UnknownOutcome::Refuse => sighting.unknown = true,
            End::Unknown => sighting.odd.push("outcome-unknown".to_owned()),
            End::Odd(answer) => sighting.odd.push(answer),
            End::Again => sighting.unresolved += 1,
        }
    }

    async fn send(&self, first: u64, mut dice: Dice) -> End {
        let start = Instant::now();
        let mut server = usize::try_from(first).expect("a small number");
        loop {
            let patience = if dice.percent(25) {
                dice.micros(500..100_000)
            } else {
                PATIENT
            };
            // Whoever has had enough drops the connection.
            let answer = timeout(patience, self.attempt(server)).await;
            let end = match answer {
                Ok(Ok(answer)) => understood(&answer),
                Ok(Err(_)) | Err(_) => End::Again,
            };
            if !matches!(end, End::Again) || start.elapsed() > RESOLVED_WITHIN {
                return end;
            }
            sleep(dice.micros(5000..200_000).min(self.lease)).await;
            server = usize::try_from(dice.roll(0..64)).expect("a small number");
        }
    }

    async fn attempt(
        &self,
        server: usize,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let address = self.fleet.address(self.policy, server);
        let request = Request::post(&self.path)
            .header("host", "shop.example")
            .header("idempotency-key", format!("key-{}", self.number))
            .body(Full::<Bytes>::default())?;
        exchange(address, request).await
    }
}

/// Sends a request on a connection of its own, which ends with the future.
async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((parts.status.as_u16(), body))
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

/// Says what an answer means to a client.
fn understood((status, body): &Answer) -> End {
    let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    match (*status, text("code").as_str()) {
        (200, _) => End::Shown(Shown {
            key: text("downstream_key"),
            fence: json["fence"].as_u64().unwrap_or_default(),
        }),
        (409, "outcome-unknown") => End::Unknown,
        (409, "in-flight" | "superseded")
        | (503, "store-unavailable" | "overloaded" | "draining") => End::Again,
        _ => End::Odd(format!("{status} {}", String::from_utf8_lossy(body))),
    }
}
