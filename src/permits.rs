use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::{
    rejection::Rejection,
    runtime::{Instant, timeout, timeout_at},
    telemetry::change,
};

/// Bounds the keyed requests of a layer: hyper does not bound work that outlives its client.
#[derive(Debug)]
pub(crate) struct Permits {
    free: Semaphore,
    limit: u32,
    /// Counted apart: what a drain has gathered is neither free nor in flight.
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    max_waiting: usize,
    draining: AtomicBool,
    drained: Notify,
}

/// Held by a request from before its claim until its result is saved.
pub(crate) struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
        change!("idempotency_in_flight", -1.0);
        self.0.free.add_permits(1);
    }
}

impl Permits {
    pub(crate) fn new(limit: usize, max_waiting: usize) -> Arc<Self> {
        // Draining takes all permits at once, and a semaphore counts those in 32 bits.
        let limit = u32::try_from(limit)
            .unwrap_or(u32::MAX)
            .clamp(1, MAX_PERMITS);
        Arc::new(Self {
            free: Semaphore::new(limit as usize),
            limit,
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            max_waiting,
            draining: AtomicBool::new(false),
            drained: Notify::new(),
        })
    }

    /// Takes a permit if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Result<Permit, Rejection> {
        if self.is_draining() {
            return Err(Rejection::Draining);
        }
        let taken = self.free.try_acquire().map_err(|_| Rejection::Overloaded)?;
        // Asked again: a drain may have come and gone meanwhile.
        if self.is_draining() {
            return Err(Rejection::Draining);
        }
        Ok(self.permit(taken))
    }

    /// Takes a permit as soon as one is free, for a request that waited for another.
    pub(crate) async fn take_by(self: &Arc<Self>, deadline: Instant) -> Result<Permit, Rejection> {
        if let Ok(permit) = self.try_take() {
            return Ok(permit);
        }
        let taken = tokio::select! {
            biased;
            () = self.draining() => return Err(Rejection::Draining),
            taken = timeout_at(deadline, self.free.acquire()) => taken,
        };
        match taken {
            // Asked again: a drain may have come and gone meanwhile.
            Ok(Ok(_)) if self.is_draining() => Err(Rejection::Draining),
            Ok(Ok(taken)) => Ok(self.permit(taken)),
            _ => Err(Rejection::Overloaded),
        }
    }

    fn permit(self: &Arc<Self>, taken: SemaphorePermit<'_>) -> Permit {
        taken.forget();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        change!("idempotency_in_flight", 1.0);
        Permit(Arc::clone(self))
    }

    /// Takes a place among those who wait for another request, if there is one.
    pub(crate) fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let place = Waiting(Arc::clone(self));
        change!("idempotency_waiting", 1.0);
        (self.waiting.fetch_add(1, Ordering::Relaxed) < self.max_waiting).then_some(place)
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Resolves once draining begins.
    pub(crate) async fn draining(&self) {
        let begins = self.drained.notified();
        if !self.is_draining() {
            begins.await;
        }
    }

    /// Refuses new requests and waits for those that hold a permit; returns how many are left.
    pub(crate) async fn drain(&self, limit: Duration) -> usize {
        self.draining.store(true, Ordering::Release);
        self.drained.notify_waiters();
        // Permits given back go to whoever has asked for all of them first.
        match timeout(limit, self.free.acquire_many(self.limit)).await {
            Ok(_) => 0,
            Err(_) => self.in_flight(),
        }
    }

    /// Returns how many requests hold a permit.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

/// The most permits that a layer can have.
const MAX_PERMITS: u32 = if usize::BITS > 32 {
    u32::MAX
} else {
    u32::MAX >> 3
};

/// A place among those who wait.
pub(crate) struct Waiting(Arc<Permits>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        change!("idempotency_waiting", -1.0);
    }
}
