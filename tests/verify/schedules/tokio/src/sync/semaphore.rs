use std::{mem, sync::Arc};

use shuttle::future::batch_semaphore::{AcquireError, BatchSemaphore, Fairness, TryAcquireError};

#[derive(Debug)]
pub struct Semaphore(BatchSemaphore);

#[derive(Debug)]
pub struct SemaphorePermit<'a>(&'a Semaphore, usize);

#[derive(Debug)]
pub struct OwnedSemaphorePermit(Arc<Semaphore>);

impl Semaphore {
    pub fn new(permits: usize) -> Self {
        Self(BatchSemaphore::new(permits, Fairness::StrictlyFair))
    }

    pub fn add_permits(&self, permits: usize) {
        self.0.release(permits);
    }

    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.0.try_acquire(1)?;
        Ok(SemaphorePermit(self, 1))
    }

    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.0.try_acquire(1)?;
        Ok(OwnedSemaphorePermit(self))
    }

    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    pub async fn acquire_many(&self, permits: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.0.acquire(permits as usize).await?;
        Ok(SemaphorePermit(self, permits as usize))
    }
}

impl SemaphorePermit<'_> {
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.0.add_permits(self.1);
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
