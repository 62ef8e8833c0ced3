use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{RedisResult, aio::MultiplexedConnection, cmd, pipe};
use tokio::sync::{mpsc, oneshot};

use super::connector::Connector;
use crate::runtime;

/// Waits until replicas have what the server acknowledged.
///
/// `WAIT` blocks its connection, so it has one of its own, and one `WAIT` serves all who ask
/// meanwhile.
#[derive(Debug)]
pub(super) struct Replicas {
    wanted: usize,
    marker: String,
    deadline: Duration,
    connector: Arc<Connector>,
    asking: Mutex<mpsc::UnboundedSender<Asked>>,
}

/// Somebody who waits; dropped if the replicas do not have it in time.
type Asked = oneshot::Sender<()>;

/// `WAIT` counts from the last write of its connection, so there has to be one.
const MARK: &str = "redis.call('GETEX', KEYS[1]) redis.call('SET', KEYS[1], '', 'PX', 60000)";

impl Replicas {
    pub(super) fn new(
        wanted: usize,
        prefix: &str,
        deadline: Duration,
        connector: Arc<Connector>,
    ) -> Self {
        let (asking, _) = mpsc::unbounded_channel();
        Self {
            wanted,
            marker: format!("{prefix}wait"),
            deadline,
            connector,
            asking: Mutex::new(asking),
        }
    }

    /// Returns whether so many replicas have everything that was acknowledged before this call.
    pub(super) async fn have_all(&self) -> bool {
        let (asked, answered) = oneshot::channel();
        if self.asking().send(asked).is_err() {
            return false;
        }
        // The one before may be under way still.
        let answer = runtime::timeout(self.deadline * 2, answered).await;
        matches!(answer, Ok(Ok(())))
    }

    fn asking(&self) -> mpsc::UnboundedSender<Asked> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.is_closed() {
            let (sender, receiver) = mpsc::unbounded_channel();
            *asking = sender;
            let waiter = Waiter {
                wanted: self.wanted,
                marker: self.marker.clone(),
                deadline: self.deadline,
                connector: Arc::clone(&self.connector),
                asked: receiver,
            };
            tokio::spawn(waiter.run());
        }
        asking.clone()
    }
}

/// The task that waits for all.
struct Waiter {
    wanted: usize,
    marker: String,
    deadline: Duration,
    connector: Arc<Connector>,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Waiter {
    async fn run(mut self) {
        let mut connection = None;
        while let Some(first) = self.asked.recv().await {
            let mut all = vec![first];
            while let Ok(another) = self.asked.try_recv() {
                all.push(another);
            }
            match self.wait(&mut connection).await {
                Ok(have_it) if have_it >= self.wanted => {
                    for asked in all {
                        // Who asked may be gone.
                        let _ = asked.send(());
                    }
                }
                Ok(_) => {}
                Err(_) => connection = None,
            }
        }
    }

    /// Returns how many replicas have everything that was acknowledged before this call.
    async fn wait(&self, connection: &mut Option<MultiplexedConnection>) -> RedisResult<usize> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.connector.connect().await?.0),
        };
        let mut wait = pipe();
        wait.cmd("EVAL").arg(MARK).arg(1).arg(&self.marker).ignore();
        wait.add_command(cmd("WAIT")).arg(self.wanted).arg(
            u64::try_from(self.deadline.as_millis())
                .unwrap_or(u64::MAX)
                .max(1),
        );
        let answer = wait.query_async::<(usize,)>(connection);
        let late = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        let answer = runtime::timeout(self.deadline * 2, answer).await;
        Ok(answer.unwrap_or_else(|_| late())?.0)
    }
}
