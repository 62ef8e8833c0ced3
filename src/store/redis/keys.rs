use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    task::JoinHandle,
};

use super::key::Key;

/// The keys that somebody in this process waits for.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// How many wait: zero, mostly, and a change then costs one load.
    waiting: AtomicUsize,
    keys: Mutex<HashMap<Key, Watched>>,
}

/// A key, and all who wait for it. They share one `Notify`, which lives as long as any of them.
#[derive(Debug)]
struct Watched {
    changed: Arc<Notify>,
    /// Has the watcher look now.
    look: Arc<Notify>,
    waiting: usize,
    watcher: Option<JoinHandle<()>>,
}

impl Keys {
    /// Counts somebody in, who is told of every change from now on.
    pub(super) fn wait(self: &Arc<Self>, key: &Key) -> (Waiting, OwnedNotified) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut keys = self.lock();
        let watched = keys.entry(key.clone()).or_insert_with(|| Watched {
            changed: Arc::default(),
            look: Arc::default(),
            waiting: 0,
            watcher: None,
        });
        watched.waiting += 1;
        let changed = Arc::clone(&watched.changed).notified_owned();
        let waiting = Waiting {
            keys: Arc::clone(self),
            key: key.clone(),
        };
        (waiting, changed)
    }

    pub(super) fn wake(&self, key: &[u8]) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let changed = self
            .lock()
            .get(key)
            .map(|watched| Arc::clone(&watched.changed));
        if let Some(changed) = changed {
            changed.notify_waiters();
        }
    }

    /// Has every watcher look: messages may have been missed.
    pub(super) fn look_at_all(&self) {
        for watched in self.lock().values() {
            watched.look.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Watched>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps somebody counted who waits for a key.
#[derive(Debug)]
pub(super) struct Waiting {
    keys: Arc<Keys>,
    key: Key,
}

impl Waiting {
    /// Has the key watched, by one task for all who wait for it.
    pub(super) fn watch(&self, start: impl FnOnce(Arc<Notify>) -> JoinHandle<()>) {
        let mut keys = self.keys.lock();
        if let Some(watched) = keys.get_mut(&self.key)
            && watched.watcher.as_ref().is_none_or(JoinHandle::is_finished)
        {
            watched.watcher = Some(start(Arc::clone(&watched.look)));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        if let Some(watched) = keys.get_mut(&self.key) {
            watched.waiting -= 1;
            if watched.waiting == 0
                && let Some(watched) = keys.remove(&self.key)
                && let Some(watcher) = watched.watcher
            {
                watcher.abort();
            }
        }
        drop(keys);
        self.keys.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
