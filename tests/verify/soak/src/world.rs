use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    TTL,
    backend::Backend,
    client::ask_on,
    generations::Generations,
    ledger::{Ledger, Totals},
};

const CLIENTS: usize = 6;

/// How long a store may take to forget what expired.
const PATIENCE: Duration = Duration::from_secs(150);

/// One store with its servers, its clients and its troubles.
pub(crate) struct World {
    name: String,
    backend: Arc<Mutex<Backend>>,
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
    troubles: JoinSet<Generations>,
}

impl World {
    pub(crate) async fn start(name: &str) -> Result<Self, String> {
        let backend = Backend::start(name)?;
        let ledger = Arc::<Ledger>::default();
        let generations = Generations::begin(backend.open().await?, Arc::clone(&ledger)).await;
        let address = generations.address.subscribe();
        let backend = Arc::new(Mutex::new(backend));
        let stop = watch::Sender::new(false);

        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (id, address) = (format!("{name}-{client}"), address.clone());
            let (stop, ledger) = (stop.subscribe(), Arc::clone(&ledger));
            clients.spawn(async move { ask_on(id, address, stop, &ledger).await });
        }
        let mut troubles = JoinSet::new();
        troubles.spawn(trouble(
            generations,
            Arc::clone(&backend),
            stop.subscribe(),
            Arc::clone(&ledger),
        ));
        Ok(Self {
            name: name.to_owned(),
            backend,
            ledger,
            stop,
            clients,
            troubles,
        })
    }

    pub(crate) async fn keys(&self) -> u64 {
        self.backend.lock().await.keys().await
    }

    pub(crate) fn lost(&self) -> Option<String> {
        let lost = self.ledger.lost()?;
        Some(format!("{}: {lost}", self.name))
    }

    /// Lets all come to an end, and waits until the store has forgotten everything.
    pub(crate) async fn end(mut self) -> Result<Totals, String> {
        self.stop.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            ended.map_err(|error| error.to_string())?;
        }
        let generations = self.troubles.join_next().await.expect("one task");
        let generations = generations.map_err(|error| error.to_string())?;
        let expired = Instant::now() + TTL;
        let (address, stop) = (generations.address.subscribe(), watch::Sender::new(false));
        let asking = {
            let (stop, ledger) = (stop.subscribe(), Arc::clone(&self.ledger));
            // The memory store forgets as it is used.
            tokio::spawn(async move {
                tokio::time::sleep_until(expired).await;
                ask_on("last".to_owned(), address, stop, &ledger).await;
            })
        };
        let is_memory = self.name == "memory";
        if !is_memory {
            stop.send_replace(true);
        }
        let left = loop {
            sleep(Duration::from_secs(1)).await;
            let keys = self.keys().await;
            // What is asked last, at some hundred keys a second, stays for as long as any.
            let most = if is_memory { 4000 } else { 0 };
            if keys <= most && Instant::now() > expired + TTL / 2 {
                break None;
            }
            if Instant::now() > expired + PATIENCE {
                break Some(keys);
            }
        };
        stop.send_replace(true);
        asking.await.map_err(|error| error.to_string())?;
        generations.end().await;
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        match left {
            None => Ok(self.ledger.totals()),
            Some(keys) => Err(format!("{}: {keys} keys have expired and stay", self.name)),
        }
    }
}

/// Strikes the store and replaces the server, from time to time.
async fn trouble(
    mut generations: Generations,
    backend: Arc<Mutex<Backend>>,
    stop: watch::Receiver<bool>,
    ledger: Arc<Ledger>,
) -> Generations {
    let mut rng = Rng::new();
    while !*stop.borrow() {
        sleep(Duration::from_millis(rng.u64(1000..4000))).await;
        if rng.bool() {
            backend.lock().await.strike(&mut rng).await;
            ledger.count(|totals| totals.faults += 1);
        } else {
            generations.next().await;
        }
    }
    generations
}
