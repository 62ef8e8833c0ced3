use async_trait::async_trait;
use tokio::{sync::mpsc, task::JoinHandle};

use super::failed;
use crate::store::postgres::{driver::Listener, failure::Failure};

/// A connection that listens, and the task that reads what it hears.
pub(super) struct Listening {
    client: tokio_postgres::Client,
    told: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Listening {
    pub(super) fn new(
        client: tokio_postgres::Client,
        told: mpsc::UnboundedReceiver<String>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { client, told, task }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Which would otherwise wait for whatever the server has not answered.
        self.task.abort();
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
