use std::{sync::Arc, time::Duration};

use redis::{ErrorKind, InfoDict, RedisResult, aio::MultiplexedConnection, cmd, pipe};
use tokio::sync::{mpsc, oneshot};

use super::connector::{Connector, is_broken};
use crate::runtime;

/// Waits until replicas have what one connection wrote.
///
/// `WAIT` blocks its connection, so it has one of its own, and one `WAIT` serves all who ask
/// meanwhile. That one is to the same run of the same server, and is never made anew by itself:
/// the replicas of another server would say nothing about what was written.
#[derive(Debug)]
pub(super) struct Replicas {
    deadline: Duration,
    asking: mpsc::UnboundedSender<Asked>,
}

/// What is waited for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    replicas: usize,
    marker: String,
    deadline: Duration,
}

/// Somebody who waits; dropped if the replicas do not have it in time.
type Asked = oneshot::Sender<()>;

/// `WAIT` counts from the last write of its connection, so there has to be one.
const MARK: &str = "redis.call('GETEX', KEYS[1]) redis.call('SET', KEYS[1], '', 'PX', 60000)";

impl Wanted {
    pub(super) fn new(replicas: usize, prefix: &str, deadline: Duration) -> Self {
        Self {
            replicas,
            marker: format!("{prefix}wait"),
            deadline,
        }
    }
}

impl Replicas {
    /// Connects once more to the server of a connection on which nothing was written yet.
    pub(super) async fn connect(
        wanted: Wanted,
        connector: &Connector,
        first: MultiplexedConnection,
    ) -> RedisResult<Arc<Self>> {
        let (connection, _) = connector.connect().await?;
        let both = async { Ok(run_id(first).await? == run_id(connection.clone()).await?) };
        // The address may lead elsewhere by now: to the next master, say.
        if !connector.in_time(both).await? {
            return Err((ErrorKind::Client, "two connections led to two servers").into());
        }
        let (asking, asked) = mpsc::unbounded_channel();
        let deadline = wanted.deadline;
        let waiter = Waiter {
            wanted,
            connection,
            asked,
        };
        tokio::spawn(waiter.run());
        Ok(Arc::new(Self { deadline, asking }))
    }

    /// Returns whether so many replicas have everything that was acknowledged before this call.
    pub(super) async fn have_all(&self) -> bool {
        let (asked, answered) = oneshot::channel();
        if self.asking.send(asked).is_err() {
            return false;
        }
        // The one before may be under way still.
        let answer = runtime::timeout(self.deadline * 2, answered).await;
        matches!(answer, Ok(Ok(())))
    }

    /// Returns whether the connection was lost, so that nobody will hear of replicas any more.
    pub(super) fn are_lost(&self) -> bool {
        self.asking.is_closed()
    }
}

/// Returns what tells a server from others, and from itself before a restart.
///
/// `master_replid` would not do: it changes when a master gets its first replica.
async fn run_id(mut connection: MultiplexedConnection) -> RedisResult<String> {
    let mut info = cmd("INFO");
    let info: InfoDict = info.arg("server").query_async(&mut connection).await?;
    info.get("run_id")
        .ok_or_else(|| (ErrorKind::Client, "the server does not tell its run_id").into())
}

/// The task that waits for all, as long as its connection lasts.
struct Waiter {
    wanted: Wanted,
    connection: MultiplexedConnection,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Waiter {
    async fn run(mut self) {
        while let Some(first) = self.asked.recv().await {
            let mut all = vec![first];
            while let Ok(another) = self.asked.try_recv() {
                all.push(another);
            }
            match self.wait().await {
                Ok(have_it) if have_it >= self.wanted.replicas => {
                    for asked in all {
                        // Who asked may be gone.
                        let _ = asked.send(());
                    }
                }
                // Who asked meanwhile is dropped too.
                Err(error) if is_broken(&error) => return,
                _ => {}
            }
        }
    }

    /// Returns how many replicas have everything that was acknowledged before this call.
    async fn wait(&mut self) -> RedisResult<usize> {
        let Wanted {
            replicas,
            marker,
            deadline,
        } = &self.wanted;
        let mut wait = pipe();
        // Fails on a server that was made a replica.
        wait.cmd("EVAL").arg(MARK).arg(1).arg(marker).ignore();
        wait.cmd("WAIT").arg(*replicas).arg(
            u64::try_from(deadline.as_millis())
                .unwrap_or(u64::MAX)
                .max(1),
        );
        let answer = wait.query_async::<(usize,)>(&mut self.connection);
        let late = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        let answer = runtime::timeout(*deadline * 2, answer).await;
        Ok(answer.unwrap_or_else(|_| late())?.0)
    }
}
