use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use tokio::sync::Mutex as AsyncMutex;
use tower_idempotency::UnknownOutcome;

use super::{Campaign, Process, Run, now};
use crate::support::examples::Serving;

/// All servers of a campaign: some for each policy, on one store.
pub(super) struct Fleet {
    args: Vec<String>,
    directory: PathBuf,
    places: Vec<Place>,
    /// Every life of every server.
    processes: Mutex<Vec<Process>>,
}

/// Where a server is, one life after the other.
struct Place {
    policy: UnknownOutcome,
    address: RwLock<SocketAddr>,
    /// Whoever does something to a server has it for himself meanwhile.
    server: AsyncMutex<Server>,
}

struct Server {
    serving: Serving,
    process: usize,
}

impl Fleet {
    pub(super) async fn start(campaign: &Campaign) -> Self {
        let mut fleet = Self {
            args: [
                ("--listen", "127.0.0.1:0"),
                ("--store", &campaign.store),
                ("--lease-ms", &campaign.lease.as_millis().to_string()),
                ("--wait-ms", &campaign.wait.as_millis().to_string()),
            ]
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()])
            .collect(),
            directory: new_directory(),
            places: Vec::new(),
            processes: Mutex::default(),
        };
        for policy in [UnknownOutcome::Retry, UnknownOutcome::Refuse] {
            for _ in 0..campaign.servers {
                let server = fleet.serve(policy).await;
                fleet.places.push(Place {
                    policy,
                    address: RwLock::new(server.serving.address),
                    server: AsyncMutex::new(server),
                });
            }
        }
        fleet
    }

    async fn serve(&self, policy: UnknownOutcome) -> Server {
        let process = {
            let mut processes = self.processes();
            processes.push(Process::new(policy));
            processes.len() - 1
        };
        let ledger = ledger(&self.directory, process).display().to_string();
        let policy = match policy {
            UnknownOutcome::Refuse => "refuse",
            UnknownOutcome::Retry => "retry",
        };
        let own = ["--ledger", &ledger, "--unknown-outcome", policy];
        let args: Vec<_> = self.args.iter().map(String::as_str).chain(own).collect();
        Server {
            serving: Serving::start("conformance", &args).await,
            process,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns where a server of the policy can be reached, the one of this number among them.
    pub(super) fn address(&self, policy: UnknownOutcome, number: usize) -> SocketAddr {
        let mut places = self.places.iter().filter(|place| place.policy == policy);
        let number = number % (self.places.len() / 2);
        let place = places.nth(number).expect("as many of each policy");
        *place.address.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills a server, and starts another in its place.
    pub(super) async fn kill(&self, place: usize) {
        let place = &self.places[place];
        let mut server = place.server.lock().await;
        let died = now();
        server.serving.kill().await;
        self.processes()[server.process].died = Some(died);
        *server = self.serve(place.policy).await;
        let address = server.serving.address;
        *place
            .address
            .write()
            .unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Has a server stand still until something is over.
    pub(super) async fn stop(&self, place: usize, during: impl Future<Output = ()>) {
        let server = self.places[place].server.lock().await;
        let start = now();
        server.serving.signal("-STOP");
        during.await;
        server.serving.signal("-CONT");
        self.processes()[server.process].stops.push(start..now());
    }

    /// Ends all servers, which finish what they began, and returns what they did.
    pub(super) async fn end(self) -> (Vec<Process>, Vec<Run>) {
        for place in self.places {
            let serving = place.server.into_inner().serving;
            serving.terminate();
            let output = serving.end().await;
            assert!(output.status.success(), "a drained server: {output:?}");
        }
        let processes = self.processes.into_inner().unwrap();
        let ledgers = 0..processes.len();
        let runs =
            ledgers.flat_map(|process| Run::of_ledger(process, &ledger(&self.directory, process)));
        let runs = runs.collect();
        let _ = fs::remove_dir_all(&self.directory);
        (processes, runs)
    }

    fn processes(&self) -> MutexGuard<'_, Vec<Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each life of a server has a ledger of its own.
fn ledger(directory: &Path, process: usize) -> PathBuf {
    directory.join(format!("{process}.ledger"))
}

fn new_directory() -> PathBuf {
    let name = format!("tower-idempotency-campaign-{}", uuid::Uuid::new_v4());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).expect("a directory for temporary files");
    directory
}
