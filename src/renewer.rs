use std::{
    cmp, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use slab::Slab;

use crate::{
    lease::Lease,
    runtime::{self, Handle, Id, Instant},
    store::{Claim, Store},
};

/// Renews the leases of all running handlers of a layer, from one task on each runtime.
///
/// A handler that blocks its thread must not lose its key while another worker is free, so
/// renewal happens outside the handler's task. The task sleeps between rounds, a third of a lease
/// apart, and ends when a round finds nothing to renew: while it goes round, a handler that ends at
/// once costs two short locks.
pub(crate) struct Renewer<S> {
    store: Arc<S>,
    rounds: Mutex<Vec<Rounds>>,
}

/// What one runtime renews.
struct Rounds {
    runtime: Id,
    leases: Slab<Arc<Lease>>,
    awake: bool,
}

/// A lease that is renewed until this is dropped.
pub(crate) struct Renewing<S: Store> {
    renewer: Arc<Renewer<S>>,
    lease: Arc<Lease>,
    place: Option<(Id, usize)>,
}

impl<S> Renewer<S> {
    pub(crate) const fn new(store: Arc<S>) -> Self {
        Self {
            store,
            rounds: Mutex::new(Vec::new()),
        }
    }
}

impl<S: Store> Renewer<S> {
    /// Renews a lease, taken at `since`, from now until `ends`.
    pub(crate) fn renew(
        self: &Arc<Self>,
        claim: Claim,
        since: Instant,
        ends: Instant,
    ) -> Renewing<S> {
        let lease = Arc::new(Lease::new(claim, since, ends));
        let place = Handle::try_current().ok().map(|runtime| {
            let (place, asleep) = self.add(runtime.id(), Arc::clone(&lease));
            if asleep {
                // Without a pause between its rounds, it would take a whole worker for itself.
                let interval = cmp::min(claim.lease() / 3, ends - since).max(Claim::MIN);
                let rounds = Arc::clone(self).go_round(runtime.id(), interval);
                runtime::spawn_unstarved(&runtime, interval / 2, rounds);
            }
            (runtime.id(), place)
        });
        Renewing {
            renewer: Arc::clone(self),
            lease,
            place,
        }
    }

    fn add(&self, runtime: Id, lease: Arc<Lease>) -> (usize, bool) {
        let mut all = self.lock();
        let index = all
            .iter()
            .position(|rounds| rounds.runtime == runtime)
            .unwrap_or_else(|| {
                all.push(Rounds {
                    runtime,
                    leases: Slab::new(),
                    awake: false,
                });
                all.len() - 1
            });
        let rounds = &mut all[index];
        let asleep = !mem::replace(&mut rounds.awake, true);
        (rounds.leases.insert(lease), asleep)
    }

    fn remove(&self, (runtime, place): (Id, usize)) {
        let mut all = self.lock();
        if let Some(rounds) = all.iter_mut().find(|rounds| rounds.runtime == runtime) {
            rounds.leases.try_remove(place);
        }
    }

    async fn go_round(self: Arc<Self>, runtime: Id, interval: Duration) {
        // A runtime that ends drops this task: should its id come again, so must the task.
        let sleep = Sleep {
            renewer: &self,
            runtime,
        };
        loop {
            runtime::sleep_until(self.next_round(runtime, interval)).await;
            let leases = self.next_leases(runtime);
            if leases.is_empty() {
                // What it would note is forgotten with the runtime, or its successor's.
                return mem::forget(sleep);
            }
            for lease in leases {
                if lease.is_due() {
                    let store = Arc::clone(&self.store);
                    runtime::spawn(
                        &Handle::current(),
                        async move { lease.renew(&*store).await },
                    );
                }
            }
        }
    }

    /// Returns when to look again: after the interval, or when a handler's time ends before that.
    fn next_round(&self, runtime: Id, interval: Duration) -> Instant {
        let now = Instant::now();
        let leases = leases_of(&self.lock(), runtime);
        let ends = leases.into_iter().map(|lease| lease.ends());
        ends.filter(|&end| end > now).fold(now + interval, cmp::min)
    }

    /// Returns what a runtime renews, and forgets one that has nothing to renew.
    fn next_leases(&self, runtime: Id) -> Vec<Arc<Lease>> {
        let mut all = self.lock();
        all.retain(|rounds| rounds.runtime != runtime || !rounds.leases.is_empty());
        leases_of(&all, runtime)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rounds>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn leases_of(all: &[Rounds], runtime: Id) -> Vec<Arc<Lease>> {
    let rounds = all.iter().find(|rounds| rounds.runtime == runtime);
    let leases = rounds.into_iter().flat_map(|rounds| &rounds.leases);
    leases.map(|(_, lease)| Arc::clone(lease)).collect()
}

/// Notes that the rounds of a runtime have ended.
struct Sleep<'a, S> {
    renewer: &'a Renewer<S>,
    runtime: Id,
}

impl<S> Drop for Sleep<'_, S> {
    fn drop(&mut self) {
        let mut all = self
            .renewer
            .rounds
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(rounds) = all.iter_mut().find(|rounds| rounds.runtime == self.runtime) {
            rounds.awake = false;
        }
    }
}

impl<S: Store> Renewing<S> {
    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }
}

impl<S: Store> Drop for Renewing<S> {
    fn drop(&mut self) {
        self.lease.end();
        if let Some(place) = self.place {
            self.renewer.remove(place);
        }
    }
}
