//! Starts a server on Redis, sends it requests from many clients, of whom some hang up, tells it to
//! stop at a random moment, and sends every request again to its successor: each has been carried out
//! exactly once, and who was answered before is answered the same.

#[path = "../../../it/support/leash.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod leash;
#[path = "../../../it/support/redis.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod redis;
mod server;

use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use fastrand::Rng;
use lexopt::prelude::*;

use self::{redis::RedisServer, server::Server};

const CLIENTS: usize = 12;

fn main() -> Result<(), lexopt::Error> {
    let (mut times, mut seed, mut program) = (100, fastrand::u64(..), None);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("times") => times = args.value()?.parse()?,
            Long("seed") => seed = args.value()?.parse()?,
            Value(path) => program = Some(path),
            _ => return Err(arg.unexpected()),
        }
    }
    let program = program.ok_or("give the path of the example `conformance`")?;
    let redis = RedisServer::durable();
    let (mut requests, mut unanswered, mut hung_up) = (0, 0, 0);
    for time in 0..times {
        let seed = seed.wrapping_add(time);
        let stop = Stop {
            program: program.as_ref(),
            redis: &redis,
            seed,
        };
        match stop.check() {
            Ok(seen) => {
                requests += seen.len();
                unanswered += seen.iter().filter(|seen| seen.answer.is_none()).count();
                hung_up += seen.iter().filter(|seen| seen.hangs_up).count();
            }
            Err(error) => {
                println!(
                    "stops: {error}\n  again, where the machine does its part: --seed {seed} --times 1"
                );
                std::process::exit(1);
            }
        }
    }
    println!(
        "stops: {times} stops under {requests} requests, {hung_up} clients hung up, {unanswered} got no \
         answer before, nothing lost"
    );
    Ok(())
}

struct Stop<'a> {
    program: &'a Path,
    redis: &'a RedisServer,
    seed: u64,
}

/// A request that was sent to the server that stopped.
struct Seen {
    key: String,
    hangs_up: bool,
    answer: Option<Answer>,
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    replayed: bool,
    body: String,
}

impl Stop<'_> {
    fn check(&self) -> Result<Vec<Seen>, String> {
        let mut rng = Rng::with_seed(self.seed);
        let ledger = self.redis.directory().join(format!("ledger-{}", self.seed));
        let server = Server::start(self.program, &self.redis.url(), &ledger);
        let address = server.address;
        let moment = Duration::from_millis(rng.u64(1..400));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (rng, seed) = (rng.fork(), self.seed);
                thread::spawn(move || ask_until_it_stops(rng, address, &format!("{seed}-{client}")))
            })
            .collect();
        thread::sleep(moment);
        server.stop()?;
        let mut seen = Vec::new();
        for client in clients {
            seen.extend(client.join().map_err(|_| "a client panicked")?);
        }

        let server = Server::start(self.program, &self.redis.url(), &ledger);
        for Seen { key, answer, .. } in &seen {
            let now = ask(server.address, key, None).ok_or("the successor does not answer")?;
            if now.status != 200 {
                return Err(format!("{key} is lost: {now:?} after {answer:?}"));
            }
            // A refusal is no answer of the handler's.
            if let Some(before) = answer.as_ref().filter(|answer| answer.status == 200)
                && (!now.replayed || now.body != before.body)
            {
                return Err(format!("{key} was {before:?} and is {now:?}"));
            }
        }
        server.stop()?;
        let lines = fs::read_to_string(&ledger).map_err(|error| error.to_string())?;
        let _ = fs::remove_file(&ledger);
        let mut runs: HashMap<String, [usize; 2]> = HashMap::new();
        for line in lines.lines() {
            let line: serde_json::Value =
                serde_json::from_str(line).map_err(|_| "a broken line")?;
            let key = line["downstream_key"].as_str().ok_or("no key")?.to_owned();
            runs.entry(key).or_default()[usize::from(line["event"] != "start")] += 1;
        }
        if let Some(run) = runs.iter().find(|(_, events)| **events != [1, 1]) {
            return Err(format!("starts and ends of a key: {run:?}"));
        }
        if runs.len() != seen.len() {
            return Err(format!("{} keys, {} runs", seen.len(), runs.len()));
        }
        Ok(seen)
    }
}

/// Sends one request after the other until the server takes none, and hangs up now and then.
fn ask_until_it_stops(mut rng: Rng, address: SocketAddr, client: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    for number in 0.. {
        let key = format!("{client}-{number}");
        let patience = (rng.u8(..3) == 0).then(|| Duration::from_millis(rng.u64(1..15)));
        let answer = ask(address, &key, patience);
        let is_over = match &answer {
            None => patience.is_none(),
            Some(answer) => answer.status != 200,
        };
        seen.push(Seen {
            key,
            hangs_up: patience.is_some() && answer.is_none(),
            answer,
        });
        if is_over || TcpStream::connect(address).is_err() {
            break;
        }
    }
    seen
}

/// Sends a request; none where no answer comes, or none in time.
fn ask(address: SocketAddr, key: &str, patience: Option<Duration>) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    let longest = Duration::from_secs(20);
    stream
        .set_read_timeout(Some(patience.unwrap_or(longest)))
        .ok()?;
    let request = format!(
        "POST /slow?ms=12 HTTP/1.1\r\nhost: test\r\nidempotency-key: {key}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        replayed: head.contains("idempotency-replayed: true"),
        body: body.to_owned(),
    })
}
