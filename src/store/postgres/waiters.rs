use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, futures::OwnedNotified};

use crate::record_name::RecordName;

/// The keys that somebody in this process waits for.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// How many wait: zero, mostly, and a change then costs one load.
    ///
    /// A waiter counts itself before it looks at the map, and is told of what happens after that.
    waiting: AtomicUsize,
    keys: Mutex<HashMap<RecordName, Waiting>>,
    /// Tells the ear of a key that nobody waited for before.
    pub(super) added: Notify,
}

/// All who wait for one key share one `Notify`, which lives as long as any of them.
#[derive(Debug)]
struct Waiting {
    changed: Arc<Notify>,
    count: usize,
}

impl Waiters {
    /// Counts somebody in, who is told of every change from now on.
    pub(super) fn wait(self: &Arc<Self>, name: RecordName) -> (Registration, OwnedNotified) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut keys = self.lock();
        let waiting = keys.entry(name).or_insert_with(|| Waiting {
            changed: Arc::default(),
            count: 0,
        });
        waiting.count += 1;
        if waiting.count == 1 {
            self.added.notify_one();
        }
        let changed = Arc::clone(&waiting.changed).notified_owned();
        let registration = Registration {
            waiters: Arc::clone(self),
            name,
        };
        (registration, changed)
    }

    pub(super) fn wake(&self, name: &RecordName) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let changed = self
            .lock()
            .get(name)
            .map(|waiting| Arc::clone(&waiting.changed));
        if let Some(changed) = changed {
            changed.notify_waiters();
        }
    }

    pub(super) fn names(&self) -> Vec<RecordName> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordName, Waiting>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a waiter counted.
#[derive(Debug)]
pub(super) struct Registration {
    waiters: Arc<Waiters>,
    name: RecordName,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut keys = self.waiters.lock();
        if let Entry::Occupied(mut waiting) = keys.entry(self.name) {
            waiting.get_mut().count -= 1;
            if waiting.get().count == 0 {
                waiting.remove();
            }
        }
        drop(keys);
        self.waiters.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
