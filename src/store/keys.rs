use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    task::JoinHandle,
};

/// The keys that somebody in this process waits for.
#[derive(Debug)]
pub(super) struct Keys<K: Hash + Eq> {
    /// How many wait: zero, mostly, and a change then costs one load.
    waiting: AtomicUsize,
    keys: Mutex<HashMap<K, Watched>>,
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

impl<K: Clone + Hash + Eq> Keys<K> {
    /// Counts somebody in, who is told of every change from now on.
    pub(super) fn wait(self: &Arc<Self>, key: &K) -> (Waiting<K>, OwnedNotified) {
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

    pub(super) fn wake<Q: ?Sized + Hash + Eq>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
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
    #[cfg(feature = "redis")]
    pub(super) fn look_at_all(&self) {
        for watched in self.lock().values() {
            watched.look.notify_one();
        }
    }
}

impl<K: Hash + Eq> Keys<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Watched>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Default for Keys<K> {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::default(),
            keys: Mutex::default(),
        }
    }
}

/// Keeps somebody counted who waits for a key.
#[derive(Debug)]
pub(super) struct Waiting<K: Hash + Eq> {
    keys: Arc<Keys<K>>,
    key: K,
}

impl<K: Clone + Hash + Eq> Waiting<K> {
    /// Has the key watched, by one task for all who wait for it.
    pub(super) fn watch(&self, start: impl FnOnce(Arc<Notify>) -> JoinHandle<()>) {
        let mut keys = self.keys.lock();
        let alone = |watched: &&mut Watched| {
            let watcher = watched.watcher.as_ref();
            watcher.is_none_or(JoinHandle::is_finished)
        };
        if let Some(watched) = keys.get_mut(&self.key).filter(alone) {
            watched.watcher = Some(start(Arc::clone(&watched.look)));
        }
    }
}

impl<K: Hash + Eq> Drop for Waiting<K> {
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        if let Some(watched) = keys.get_mut(&self.key) {
            watched.waiting -= 1;
            if watched.waiting == 0 {
                let watched = keys.remove(&self.key);
                if let Some(watcher) = watched.and_then(|watched| watched.watcher) {
                    watcher.abort();
                }
            }
        }
        drop(keys);
        self.keys.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
