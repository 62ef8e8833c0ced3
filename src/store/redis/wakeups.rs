use std::{sync::Arc, time::Duration};

use redis::{Value, cmd};
use tokio::sync::Notify;

use super::{
    ear::Ear,
    key::Key,
    server::Server,
    value::{self, HEAD},
};
use crate::{
    runtime::{self, Instant},
    store::{Changed, OwnerToken, keys::Keys},
};

/// Wakes who waits for a key: the server pushes a message at every change, and one task for each
/// key looks from time to time, in case a message was lost.
pub(super) struct Wakeups {
    keys: Arc<Keys<Key>>,
    watching: Arc<Watching>,
}

/// What all watchers need.
struct Watching {
    keys: Arc<Keys<Key>>,
    server: Arc<Server>,
    ear: Option<Ear>,
    deadline: Duration,
}

/// How often a key is looked at while its changes are pushed.
const PUSHED: Duration = Duration::from_secs(1);

/// How often a key is looked at otherwise: soon at first, and then less and less.
const POLLED_FIRST: Duration = Duration::from_millis(25);
const POLLED_LAST: Duration = Duration::from_millis(500);

impl Wakeups {
    pub(super) fn new(
        keys: Arc<Keys<Key>>,
        server: Arc<Server>,
        ear: Option<Ear>,
        deadline: Duration,
    ) -> Self {
        let watching = Watching {
            keys: Arc::clone(&keys),
            server,
            ear,
            deadline,
        };
        Self {
            keys,
            watching: Arc::new(watching),
        }
    }

    /// Returns a future that resolves once the key may have changed, counted from this call.
    ///
    /// Only the first poll has the key watched. The watcher begins with a look, so that what was
    /// changed between is not missed.
    pub(super) fn changed(&self, key: Key) -> Changed {
        let (waiting, changed) = self.keys.wait(&key);
        let watching = Arc::clone(&self.watching);
        Box::pin(async move {
            waiting.watch(|look| tokio::spawn(watching.watch(key, look)));
            changed.await;
        })
    }

    /// Wakes who waits here for a key that was changed from here.
    pub(super) fn wake(&self, key: &Key) {
        self.keys.wake(key.as_bytes());
    }
}

impl Watching {
    /// Looks at a key until nobody waits for it any more, which ends the task.
    async fn watch(self: Arc<Self>, key: Key, look: Arc<Notify>) {
        let listening = match &self.ear {
            Some(ear) => ear.listen(&key).await,
            None => None,
        };
        let mut pause = if listening.is_some() {
            PUSHED
        } else {
            POLLED_FIRST
        };
        let mut seen = None;
        loop {
            if let Some(owner) = self.owner(&key).await {
                if owner.is_none() || seen.is_some_and(|seen| seen != owner) {
                    self.keys.wake(key.as_bytes());
                }
                seen = Some(owner);
            }
            let _ = runtime::timeout(runtime::jittered(pause), look.notified()).await;
            if listening.is_none() {
                pause = POLLED_LAST.min(pause * 2);
            }
        }
    }

    /// Returns who works under a key, if anybody; or nothing, where the server does not tell.
    async fn owner(&self, key: &Key) -> Option<Option<OwnerToken>> {
        let mut range = cmd("GETRANGE");
        range.arg(key.as_bytes()).arg(0).arg(HEAD - 1);
        match self
            .server
            .send(&range, Instant::now() + self.deadline)
            .await
        {
            Ok(Value::BulkString(value)) => Some(value::owner(&value)),
            _ => None,
        }
    }
}
