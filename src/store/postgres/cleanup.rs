use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{Failure, core::Core, driver::Param};
use crate::runtime;

/// Deletes what expired, from a task of its own that ends with the store.
#[derive(Debug)]
pub(super) struct Cleanup {
    interval: Duration,
    batch: u32,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Cleanup {
    pub(super) fn new(interval: Duration, batch: u32) -> Self {
        Self {
            interval,
            batch,
            task: Mutex::default(),
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Core {
    /// Starts to clean up, where that is wanted and not done yet.
    pub(super) fn begin_to_clean_up(self: &Arc<Self>) {
        if self.cleanup.interval == Duration::MAX {
            return;
        }
        let mut task = self
            .cleanup
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A runtime that ended took its task along.
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let rounds = go_round(Arc::downgrade(self), self.cleanup.interval);
            *task = Some(tokio::spawn(rounds));
        }
    }

    /// Deletes all that expired, in batches; returns how many keys that were.
    pub(super) async fn clean_up(&self) -> Result<u64, Failure> {
        let batch = self.cleanup.batch;
        let mut deleted = 0;
        loop {
            let statement = &self.statements.clean_up;
            let rows = self.query(statement, &[Param::Int(batch.into())]).await?;
            let gone: u64 = rows.first().ok_or_else(Failure::foreign)?.count(0)?;
            deleted += gone;
            if gone < batch.into() {
                return Ok(deleted);
            }
        }
    }
}

async fn go_round(core: Weak<Core>, interval: Duration) {
    loop {
        // Servers that were started together do not clean up together.
        runtime::sleep(runtime::jittered(interval)).await;
        let Some(core) = core.upgrade() else { return };
        // Whatever the reason, the next round may do better.
        let _ = core.clean_up().await;
    }
}
