use async_trait::async_trait;
use tokio::sync::mpsc;

use super::failed;
use crate::store::postgres::{driver::Listener, failure::Failure};

/// A connection that listens, and what the task that reads from it has heard. That ends with the
/// client.
pub(super) struct Listening {
    client: tokio_postgres::Client,
    told: mpsc::UnboundedReceiver<String>,
}

impl Listening {
    pub(super) fn new(
        client: tokio_postgres::Client,
        told: mpsc::UnboundedReceiver<String>,
    ) -> Self {
        Self { client, told }
    }
}

#[async_trait]
impl Listener for Listening {
    async fn heard(&mut self) -> Option<String> {
        self.told.recv().await
    }

    async fn script(&mut self, script: &str) -> Result<(), Failure> {
        self.client.batch_execute(script).await.map_err(failed)
    }
}
