use std::{
    cmp,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::{
    events,
    runtime::{self, Instant},
    store::{Claim, Renewal, Store},
    telemetry::Stopwatch,
};

/// A lease under renewal, and what its handler is told of it.
#[derive(Debug)]
pub(crate) struct Lease {
    claim: Claim,
    /// When renewal ends, whatever the handler does.
    ends: Instant,
    /// Until when the store cannot have given the key to another.
    valid_until: Mutex<Instant>,
    renewing: AtomicBool,
    /// The store said that the key is no longer this claim's.
    taken: AtomicBool,
    /// The run is over: what a renewal still finds out is nobody's concern.
    ended: AtomicBool,
    /// The handler may no longer be the only one.
    lost: AtomicBool,
    /// Only made for a handler that asks.
    token: OnceLock<CancellationToken>,
}

impl Lease {
    pub(crate) fn new(claim: Claim, since: Instant, ends: Instant) -> Self {
        Self {
            claim,
            ends,
            valid_until: Mutex::new(since + claim.lease()),
            renewing: AtomicBool::new(false),
            taken: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            token: OnceLock::new(),
        }
    }

    pub(crate) const fn ends(&self) -> Instant {
        self.ends
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns the token that is cancelled when the lease is lost.
    pub(crate) fn lost(&self) -> CancellationToken {
        // Sequentially consistent here and in `tell_lost`: of two that meet, one sees what the
        // other did.
        let token = self.token.get_or_init(CancellationToken::new);
        // A process that stood still may ask before it comes to a renewal.
        if Instant::now() >= self.gives_up_at() {
            self.tell_lost();
        }
        if self.lost.load(Ordering::SeqCst) {
            token.cancel();
        }
        token.clone()
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn tell_lost(&self) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        let news = !self.lost.swap(true, Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
        if news {
            events::lease_lost(self.claim.name());
        }
    }

    /// Says whether to renew now, once it has told the handler what it must know.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        if now >= self.ends || now >= self.gives_up_at() {
            self.tell_lost();
        }
        // A round may come early, for another's end.
        let fresh = *self.valid_until() > now + self.claim.lease() * 7 / 8;
        now < self.ends
            && !fresh
            && !self.is_taken()
            && !self.renewing.swap(true, Ordering::Relaxed)
    }

    /// Renews, again and again until the store answers or the lease may be another's.
    pub(crate) async fn renew<S: Store>(&self, store: &S) {
        let _renewing = UnderWay(&self.renewing);
        let mut pause = self.claim.lease() / 20;
        loop {
            let sent = Instant::now();
            let stopwatch = Stopwatch::start();
            let deadline = cmp::max(self.gives_up_at(), sent + self.claim.lease() / 3);
            let renewed = runtime::timeout_at(deadline, store.renew(&self.claim)).await;
            stopwatch.renewal_answered();
            match renewed {
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
    }

    /// Says whether the store may have given the key to another, by our own clock.
    pub(crate) fn has_lapsed(&self) -> bool {
        Instant::now() >= *self.valid_until()
    }

    /// When a handler is told, a fifth of the lease before another could take over.
    fn gives_up_at(&self) -> Instant {
        *self.valid_until() - self.claim.lease() / 5
    }

    fn valid_until(&self) -> MutexGuard<'_, Instant> {
        self.valid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A renewal under way, which may end in a panic of the store's.
struct UnderWay<'a>(&'a AtomicBool);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
