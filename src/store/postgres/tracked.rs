use std::{sync::Arc, time::Duration};

use super::open::{Id, Open};

/// Keeps a transaction known until this is dropped: until then a repetition of what ends it waits.
pub(super) struct Tracked {
    open: Arc<Open>,
    id: Id,
}

impl Tracked {
    pub(super) fn new(open: Arc<Open>, id: Id) -> Self {
        Self { open, id }
    }

    /// How long an operation may take.
    pub(super) fn deadline(&self) -> Duration {
        self.open.deadline
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.open.end(&self.id);
    }
}
