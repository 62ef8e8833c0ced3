use std::{sync::Arc, time::Duration};

use super::{places::Places, readers::Readers, row::State};
use crate::{
    record_name::RecordName,
    runtime,
    store::{Changed, OwnerToken, keys::Keys},
};

/// Wakes who waits for a name: at once when it was changed from here, and otherwise by a look at
/// the file from time to time, by one task for each name.
pub(super) struct Wakeups {
    keys: Arc<Keys<RecordName>>,
    watching: Arc<Watching>,
}

/// What all watchers need.
struct Watching {
    keys: Arc<Keys<RecordName>>,
    readers: Arc<Readers>,
    places: Arc<Places>,
}

/// How often a name is looked at: soon at first, and then less and less.
const FIRST: Duration = Duration::from_millis(25);
const LAST: Duration = Duration::from_millis(500);

impl Wakeups {
    pub(super) fn new(
        keys: Arc<Keys<RecordName>>,
        readers: Arc<Readers>,
        places: Arc<Places>,
    ) -> Self {
        let watching = Watching {
            keys: Arc::clone(&keys),
            readers,
            places,
        };
        Self {
            keys,
            watching: Arc::new(watching),
        }
    }

    /// Returns a future that resolves once the name may have changed, counted from this call.
    ///
    /// Only the first poll has the name watched. The watcher begins with a look, so that what was
    /// changed between is not missed.
    pub(super) fn changed(&self, name: RecordName) -> Changed {
        let (waiting, changed) = self.keys.wait(&name);
        let watching = Arc::clone(&self.watching);
        Box::pin(async move {
            waiting.watch(|_| tokio::spawn(watching.watch(name)));
            changed.await;
        })
    }

    /// Wakes who waits here for a name that was changed from here.
    pub(super) fn wake(&self, name: &RecordName) {
        self.keys.wake(name);
    }
}

impl Watching {
    /// Looks at a name until nobody waits for it any more, which ends the task.
    async fn watch(self: Arc<Self>, name: RecordName) {
        let (mut pause, mut seen) = (FIRST, None);
        loop {
            if let Some(owner) = self.owner(&name).await {
                if owner.is_none() || seen.is_some_and(|seen| seen != owner) {
                    self.keys.wake(&name);
                }
                seen = Some(owner);
            }
            runtime::sleep(runtime::jittered(pause)).await;
            pause = LAST.min(pause * 2);
        }
    }

    /// Returns who works under a name, if anybody; or nothing, where that cannot be told.
    async fn owner(&self, name: &RecordName) -> Option<Option<OwnerToken>> {
        if self.places.is_taken(name) {
            // Its end wakes by itself.
            return None;
        }
        let row = self.readers.look(name).await.ok()?;
        let at_work = row.filter(|row| matches!(row.state, State::InFlight));
        Some(at_work.map(|row| row.owner))
    }
}
