use std::sync::Arc;

use tokio::sync::watch;

/// What some pass while it is open, and wait for while it is closed.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn new_open() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    pub(crate) fn new_closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn close(&self) {
        self.0.send_replace(false);
    }

    pub(crate) async fn pass(&self) {
        let mut open = self.0.subscribe();
        open.wait_for(|open| *open).await.expect("the sender lives");
    }
}
