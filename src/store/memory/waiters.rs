use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::key::Key;
use crate::store::Changed;

/// Who waits for which key to change.
///
/// All who wait for one key share one `Notify`, which lives as long as any of them, so that none
/// is left behind with one that nobody knows any more. A change of another key wakes nobody.
pub(super) struct Waiters {
    stripes: Box<[Stripe]>,
}

#[derive(Default)]
struct Stripe {
    /// How many wait here: zero, mostly, and a change then costs one load.
    ///
    /// A waiter counts itself before it looks at the map, and whoever changes the map looks here
    /// afterwards; the lock of the map's shard orders the two, so `Relaxed` is enough.
    waiting: AtomicUsize,
    keys: Mutex<HashMap<Key, Waiting>>,
}

struct Waiting {
    notify: Arc<Notify>,
    count: usize,
}

const STRIPES: usize = 64;

impl Waiters {
    pub(super) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }

    /// Returns a future that resolves when the key changes, counted from this call.
    pub(super) fn wait(self: Arc<Self>, key: Key) -> Changed {
        let stripe = self.stripe(&key);
        stripe.waiting.fetch_add(1, Ordering::Relaxed);
        let mut keys = stripe.lock();
        let waiting = keys.entry(key).or_insert_with(|| Waiting {
            notify: Arc::new(Notify::new()),
            count: 0,
        });
        waiting.count += 1;
        let notified = Arc::clone(&waiting.notify).notified_owned();
        drop(keys);
        let registration = Registration { waiters: self, key };
        Box::pin(async move {
            let _registration = registration;
            notified.await;
        })
    }

    pub(super) fn wake(&self, key: &Key) {
        let stripe = self.stripe(key);
        if stripe.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let notify = stripe
            .lock()
            .get(key)
            .map(|waiting| Arc::clone(&waiting.notify));
        if let Some(notify) = notify {
            notify.notify_waiters();
        }
    }

    /// Returns how many keys are waited for.
    pub(super) fn keys(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    fn stripe(&self, key: &Key) -> &Stripe {
        &self.stripes[key.part(STRIPES)]
    }
}

impl Stripe {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a waiter counted until its future is gone.
struct Registration {
    waiters: Arc<Waiters>,
    key: Key,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let stripe = self.waiters.stripe(&self.key);
        let mut keys = stripe.lock();
        if let Entry::Occupied(mut waiting) = keys.entry(self.key) {
            waiting.get_mut().count -= 1;
            if waiting.get().count == 0 {
                waiting.remove();
            }
        }
        drop(keys);
        stripe.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
