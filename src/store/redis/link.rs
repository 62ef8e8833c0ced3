//! The connection to one server, and whoever keeps it alive.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{ConnectionAddr, RedisError, RedisResult, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use super::{
    connector::{Connector, is_broken},
    down::Down,
    replicas::{Replicas, Wanted},
};
use crate::{
    events,
    runtime::{self, Instant},
};

/// The connection of all operations. One task keeps it: it looks whether the server still answers,
/// and it alone connects again.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    keeper: Mutex<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    connector: Arc<Connector>,
    wanted: Option<Wanted>,
    /// How long the server may take to say that it is there.
    patience: Duration,
    state: watch::Sender<State>,
    /// Whether anything was answered since the keeper last looked.
    answered: AtomicBool,
    suspected: Notify,
}

#[derive(Debug, Clone)]
enum State {
    Up(Arc<Connected>),
    /// The connection was lost just now, and the first attempt at another is under way: worth
    /// waiting for.
    Replacing,
    /// An attempt failed. Whoever comes now is told at once.
    Down,
}

/// One connection, told from the ones before and after it.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    /// Where replicas are to have what is written on it.
    pub(super) replicas: Option<Arc<Replicas>>,
    address: ConnectionAddr,
    since: Instant,
}

/// How often the keeper looks at a connection on which nothing is answered.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How many looks pass until Sentinel is asked again who is master.
const RESOLVE_EVERY: u32 = 3;

/// A connection that is lost sooner than this is not replaced at once: something is wrong.
const TOO_SHORT: Duration = Duration::from_millis(500);

impl Link {
    /// Connects, and keeps the connection until the link is dropped.
    pub(super) async fn connect(
        connector: Arc<Connector>,
        wanted: Option<Wanted>,
        patience: Duration,
    ) -> RedisResult<Self> {
        let shared = Arc::new(Shared {
            connector,
            wanted,
            patience,
            state: watch::Sender::new(State::Down),
            answered: AtomicBool::new(false),
            suspected: Notify::new(),
        });
        let connected = shared.connect().await?;
        shared.state.send_replace(State::Up(connected));
        let keeper = tokio::spawn(Arc::clone(&shared).keep());
        Ok(Self {
            shared,
            keeper: keeper.into(),
        })
    }

    /// Returns the connection, or that there is none.
    pub(super) async fn connected(&self, until: Instant) -> Result<Arc<Connected>, RedisError> {
        if let Some(connected) = self.shared.up() {
            if !connected.is_halved() {
                return Ok(connected);
            }
            self.lose(&connected);
        }
        self.keep_on();
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Replacing));
        match runtime::timeout_at(until, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(connected) => Ok(Arc::clone(connected)),
                _ => Err(Down.into()),
            },
            _ => Err(Down.into()),
        }
    }

    /// Notes that the server answered.
    pub(super) fn answered(&self) {
        // Read first: all who are answered share the line.
        if !self.shared.answered.load(Ordering::Relaxed) {
            self.shared.answered.store(true, Ordering::Relaxed);
        }
    }

    /// Has the keeper look whether the server still answers.
    pub(super) fn suspect(&self) {
        self.shared.suspected.notify_one();
    }

    /// Gives up a connection, if it is still the current one.
    pub(super) fn lose(&self, lost: &Connected) {
        self.shared.lose(lost);
    }

    /// Starts the keeper again, where its runtime was shut down.
    fn keep_on(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_finished() {
            *keeper = tokio::spawn(Arc::clone(&self.shared).keep());
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut();
        keeper.unwrap_or_else(PoisonError::into_inner).abort();
    }
}

impl Connected {
    /// Returns whether nobody can wait for replicas any more.
    fn is_halved(&self) -> bool {
        let replicas = self.replicas.as_ref();
        replicas.is_some_and(|replicas| replicas.are_lost())
    }
}

impl Shared {
    async fn connect(&self) -> RedisResult<Arc<Connected>> {
        let (connection, address) = self.connector.connect().await?;
        let replicas = match self.wanted.clone() {
            Some(wanted) => {
                let first = connection.clone();
                Some(Replicas::connect(wanted, &self.connector, first).await?)
            }
            None => None,
        };
        Ok(Arc::new(Connected {
            connection,
            replicas,
            address,
            since: Instant::now(),
        }))
    }

    fn up(&self) -> Option<Arc<Connected>> {
        match &*self.state.borrow() {
            State::Up(connected) => Some(Arc::clone(connected)),
            _ => None,
        }
    }

    fn lose(&self, lost: &Connected) {
        let gone = self.state.send_if_modified(|state| {
            let is_current = matches!(state, State::Up(current) if current.since == lost.since);
            if is_current {
                *state = if lost.since.elapsed() < TOO_SHORT {
                    State::Down
                } else {
                    State::Replacing
                };
            }
            is_current
        });
        if gone {
            events::redis_lost(&lost.address);
            self.suspected.notify_one();
        }
    }

    async fn keep(self: Arc<Self>) {
        loop {
            while let Some(connected) = self.up() {
                self.watch(&connected).await;
            }
            self.replace().await;
        }
    }

    /// Looks after a connection until it is no longer the current one.
    async fn watch(&self, connected: &Connected) {
        let mut looks = 0;
        while self.up().is_some_and(|up| up.since == connected.since) {
            let suspected = runtime::timeout(WATCH_EVERY, self.suspected.notified())
                .await
                .is_ok();
            let was_answered = self.answered.swap(false, Ordering::Relaxed);
            if (suspected || !was_answered) && !self.is_alive(connected.connection.clone()).await {
                self.lose(connected);
            }
            looks += 1;
            if looks % RESOLVE_EVERY == 0 && self.connector.has_moved(&connected.address).await {
                self.lose(connected);
            }
        }
    }

    /// Returns whether the server answers anything at all.
    async fn is_alive(&self, mut connection: MultiplexedConnection) -> bool {
        let ping = cmd("PING");
        let ping = ping.query_async::<redis::Value>(&mut connection);
        match runtime::timeout(self.patience, ping).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => !is_broken(&error),
            Err(_) => false,
        }
    }

    /// Connects anew, and goes on until that works.
    async fn replace(&self) {
        const FIRST_PAUSE: Duration = Duration::from_millis(50);
        const LONGEST_PAUSE: Duration = Duration::from_millis(500);
        let mut pause = FIRST_PAUSE;
        if matches!(*self.state.borrow(), State::Down) {
            runtime::sleep(runtime::jittered(pause)).await;
        }
        loop {
            match self.connect().await {
                Ok(connected) => {
                    events::redis_connected(&connected.address);
                    self.state.send_replace(State::Up(connected));
                    return;
                }
                Err(_) => self.state.send_replace(State::Down),
            };
            runtime::sleep(runtime::jittered(pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}
