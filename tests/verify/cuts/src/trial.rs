use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    backend::Backend,
    point::Point,
    server::{Answer, Server, ask, charge},
    verdict::Seen,
};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Server,
    Store,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Retry,
    Refuse,
}

/// One request that gets to a point, and what becomes of it after a kill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) point: Point,
    pub(crate) victim: Victim,
    pub(crate) policy: Policy,
}

/// How long a client sends a request again.
const RESOLVED_WITHIN: Duration = Duration::from_secs(60);

impl Trial {
    pub(crate) fn all(backend: &Backend) -> Vec<Self> {
        let victims = if backend.is_a_server() {
            &[Victim::Server, Victim::Store, Victim::Both][..]
        } else {
            &[Victim::Server]
        };
        let mut all = Vec::new();
        for &victim in victims {
            for policy in [Policy::Retry, Policy::Refuse] {
                all.extend(Point::ALL.map(|point| Self {
                    point,
                    victim,
                    policy,
                }));
            }
        }
        all
    }

    /// Plays it, and returns what was seen.
    pub(crate) fn play(self, backend: &mut Backend) -> Result<Seen, String> {
        // A server that lives on keeps its lease while the store is away.
        let lease: u64 = if self.victim == Victim::Store {
            15_000
        } else {
            600
        };
        let ms = if self.point.takes_a_renewal() {
            lease / 2
        } else {
            0
        };
        let ledger = crate::redis::new_directory().join("ledger");
        let io = |error: std::io::Error| error.to_string();
        fs::write(&ledger, "").map_err(io)?;
        let (url, policy) = (backend.url(), format!("{:?}", self.policy));
        let (file, millis) = (ledger.display().to_string(), lease.to_string());
        let arguments = [&*url, &file, &policy, &millis];
        let point = self.point.name();
        let key = format!("{self:?}").replace(|it: char| !it.is_alphanumeric(), "");

        let mut server = Server::start(&[&arguments[..], &[&*point]].concat())?;
        let (address, first) = (server.address, self.point.status());
        let client = thread::spawn({
            let key = key.clone();
            move || charge(address, &key, first, ms)
        });
        server.wait_for_the_cut()?;
        if self.victim == Victim::Store {
            backend.kill();
            server.go_on();
            // So that something is tried meanwhile.
            thread::sleep(Duration::from_millis(100));
            backend.restart();
        } else {
            drop(server);
            if self.victim == Victim::Both {
                backend.kill();
                backend.restart();
            }
            server = Server::start(&arguments)?;
        }
        let first = client.join().map_err(|_| "the client panicked")?;
        let retry = resolve(&server, &key)?;
        let again = resolve(&server, &key)?;
        let effects = ask(server.address, "GET", &format!("/effects/{key}"), "x: y");
        let effects = effects.filter(|answer| answer.status == 200);
        let effects = effects.ok_or("the effects cannot be counted")?.body;
        let ledger_was = fs::read_to_string(&ledger).map_err(io)?;
        let _ = fs::remove_dir_all(ledger.parent().expect("a directory"));
        Ok(Seen {
            trial: self,
            transactional: backend.is_transactional(),
            first,
            retry,
            again,
            ledger: ledger_was.lines().map(ToOwned::to_owned).collect(),
            effects: effects.parse().ok(),
        })
    }
}

/// Sends a request until the answer is one.
fn resolve(server: &Server, key: &str) -> Result<Answer, String> {
    let start = Instant::now();
    loop {
        let answer = charge(server.address, key, 201, 0);
        match answer {
            Some(answer) if !is_for_later(&answer) => return Ok(answer),
            last if start.elapsed() > RESOLVED_WITHIN => {
                return Err(format!("it is never answered: {last:?}"));
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn is_for_later(answer: &Answer) -> bool {
    let codes = ["in-flight", "superseded", "store-unavailable"];
    answer.status >= 400 && codes.iter().any(|code| answer.body.contains(code))
        || answer.status == 503
}
