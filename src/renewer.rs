use std::{
    cmp,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use slab::Slab;

use crate::{
    context::LostLease,
    events,
    runtime::{self, Handle, Id, Instant},
    store::{Claim, Renewal, Store},
};

/// Renews the leases of all running handlers of a layer, from one task on each runtime.
///
/// A handler that blocks its thread must not lose its key while another worker is free, so
/// renewal happens outside the handler's task. The task sleeps between rounds, a third of a lease
/// apart, and ends when a round finds nothing to renew: a handler that ends at once costs two
/// short locks.
#[derive(Debug)]
pub(crate) struct Renewer<S> {
    store: Arc<S>,
    rounds: Mutex<Vec<Rounds>>,
}

/// What one runtime renews.
#[derive(Debug)]
struct Rounds {
    runtime: Id,
    leases: Slab<Arc<Held>>,
    awake: bool,
}

/// A lease under renewal.
#[derive(Debug)]
struct Held {
    claim: Claim,
    lost: Arc<LostLease>,
    /// When renewal ends, whatever the handler does.
    ends: Instant,
    /// Until when the store cannot have given the key to another.
    valid_until: Mutex<Instant>,
    renewing: AtomicBool,
    taken: AtomicBool,
}

/// A lease that is renewed until this is dropped.
pub(crate) struct Lease<S: Store> {
    renewer: Arc<Renewer<S>>,
    held: Arc<Held>,
    place: Option<(Id, usize)>,
}

impl<S: Store> Renewer<S> {
    pub(crate) const fn new(store: Arc<S>) -> Self {
        Self {
            store,
            rounds: Mutex::new(Vec::new()),
        }
    }

    /// Renews a lease, taken at `since`, from now until `ends`.
    ///
    /// Where this wakes the renewer it yields once: a task woken from here waits in a slot of
    /// this worker that no other worker takes from, and a handler that blocks would keep it there.
    pub(crate) async fn hold(
        self: &Arc<Self>,
        claim: Claim,
        lost: Arc<LostLease>,
        since: Instant,
        ends: Instant,
    ) -> Lease<S> {
        let held = Arc::new(Held {
            claim,
            lost,
            ends,
            valid_until: Mutex::new(since + claim.lease()),
            renewing: AtomicBool::new(false),
            taken: AtomicBool::new(false),
        });
        let mut lease = Lease {
            renewer: Arc::clone(self),
            held,
            place: None,
        };
        if let Ok(runtime) = Handle::try_current() {
            let (place, asleep) = self.add(runtime.id(), Arc::clone(&lease.held));
            lease.place = Some((runtime.id(), place));
            if asleep {
                let interval = cmp::min(claim.lease() / 3, ends - since);
                let rounds = Arc::clone(self).go_round(runtime.id(), interval);
                runtime::spawn(&runtime, rounds);
                runtime::yield_now().await;
            }
        }
        lease
    }

    fn add(&self, runtime: Id, held: Arc<Held>) -> (usize, bool) {
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
        let asleep = !std::mem::replace(&mut rounds.awake, true);
        (rounds.leases.insert(held), asleep)
    }

    fn remove(&self, (runtime, place): (Id, usize)) {
        let mut all = self.lock();
        if let Some(rounds) = all.iter_mut().find(|rounds| rounds.runtime == runtime) {
            rounds.leases.try_remove(place);
        }
    }

    async fn go_round(self: Arc<Self>, runtime: Id, interval: Duration) {
        // A runtime that ends drops this task: should its id come again, so must the task.
        let _sleep = Sleep {
            renewer: &self,
            runtime,
        };
        loop {
            runtime::sleep_until(self.next_round(runtime, interval)).await;
            let leases = self.held(runtime);
            if leases.is_empty() && self.may_end(runtime) {
                return;
            }
            for held in leases {
                if held.is_due() {
                    let store = Arc::clone(&self.store);
                    runtime::spawn(&Handle::current(), async move { held.renew(&*store).await });
                }
            }
        }
    }

    /// Returns when to look again: after the interval, or when a handler's time ends before that.
    fn next_round(&self, runtime: Id, interval: Duration) -> Instant {
        let now = Instant::now();
        let ends = self.held(runtime).into_iter().map(|held| held.ends);
        ends.filter(|&end| end > now).fold(now + interval, cmp::min)
    }

    fn held(&self, runtime: Id) -> Vec<Arc<Held>> {
        let all = self.lock();
        let rounds = all.iter().find(|rounds| rounds.runtime == runtime);
        rounds.map_or_else(Vec::new, |rounds| {
            rounds
                .leases
                .iter()
                .map(|(_, held)| Arc::clone(held))
                .collect()
        })
    }

    /// Forgets a runtime that has nothing to renew.
    fn may_end(&self, runtime: Id) -> bool {
        let mut all = self.lock();
        all.retain(|rounds| rounds.runtime != runtime || !rounds.leases.is_empty());
        !all.iter().any(|rounds| rounds.runtime == runtime)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rounds>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

impl Held {
    /// Says whether to renew now, once it has told the handler what it must know.
    fn is_due(&self) -> bool {
        let now = Instant::now();
        if now >= self.ends || now >= self.gives_up_at() {
            self.tell_lost();
        }
        now < self.ends
            && !self.taken.load(Ordering::Relaxed)
            && !self.renewing.swap(true, Ordering::Relaxed)
    }

    /// Renews, again and again until the store answers or the lease may be another's.
    async fn renew<S: Store>(&self, store: &S) {
        let mut pause = self.claim.lease() / 20;
        loop {
            let sent = Instant::now();
            let deadline = cmp::max(self.gives_up_at(), sent + self.claim.lease() / 3);
            match runtime::timeout_at(deadline, store.renew(&self.claim)).await {
                Ok(Ok(Renewal::Renewed)) => {
                    *self.valid_until() = sent + self.claim.lease();
                    break;
                }
                Ok(Ok(Renewal::Lost)) => {
                    self.taken.store(true, Ordering::Relaxed);
                    self.tell_lost();
                    break;
                }
                Ok(Err(error)) => events::store_failed("renew", self.claim.name(), &error),
                Err(_) => {}
            }
            if Instant::now() + pause >= self.gives_up_at() {
                runtime::sleep_until(self.gives_up_at()).await;
                self.tell_lost();
                break;
            }
            runtime::sleep(runtime::jittered(pause)).await;
            pause *= 2;
        }
        self.renewing.store(false, Ordering::Relaxed);
    }

    /// When a handler is told, a fifth of the lease before another could take over.
    fn gives_up_at(&self) -> Instant {
        *self.valid_until() - self.claim.lease() / 5
    }

    fn tell_lost(&self) {
        if self.lost.tell() {
            events::lease_lost(self.claim.name());
        }
    }

    fn valid_until(&self) -> MutexGuard<'_, Instant> {
        self.valid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> Lease<S> {
    /// Says whether the store told that the key is no longer this claim's.
    pub(crate) fn is_taken(&self) -> bool {
        self.held.taken.load(Ordering::Relaxed)
    }

    /// When the layer stops renewing.
    pub(crate) fn ends(&self) -> Instant {
        self.held.ends
    }
}

impl<S: Store> Drop for Lease<S> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.renewer.remove(place);
        }
    }
}
