//! A proxy before a Redis server that does something to one chosen command, or to its answer.

mod fault;
mod line;
mod resp;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) use self::fault::Fault;
use self::line::Line;

/// A proxy on a loopback port, until it is dropped.
pub(crate) struct RedisProxy {
    pub(crate) address: SocketAddr,
    plan: Arc<Plan>,
    accepting: JoinHandle<()>,
}

/// What is done to which command, and how often still.
#[derive(Default)]
struct Plan(Mutex<Option<Planned>>);

struct Planned {
    chosen: Chosen,
    fault: Fault,
    times: usize,
}

/// Tells a command from others by its words.
type Chosen = Box<dyn Fn(&[Bytes]) -> bool + Send>;

impl RedisProxy {
    /// Listens for a server on this port.
    pub(crate) async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Plan::default());
        let shared = Arc::clone(&plan);
        let accepting = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let plan = Arc::clone(&shared);
                lines.spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", upstream)).await;
                    if let Ok(server) = server {
                        // How a connection ends is for its ends to tell.
                        let _ = Line::new(plan, upstream).pass(client, server).await;
                    }
                });
                while lines.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            plan,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Does this to the next commands that are chosen, so many of them.
    pub(crate) fn plan(
        &self,
        fault: Fault,
        times: usize,
        chosen: impl Fn(&[Bytes]) -> bool + Send + 'static,
    ) {
        *self.plan.0.lock().unwrap() = Some(Planned {
            chosen: Box::new(chosen),
            fault,
            times,
        });
    }

    /// Returns how many of the planned commands did not come yet.
    pub(crate) fn left(&self) -> usize {
        let plan = self.plan.0.lock().unwrap();
        plan.as_ref().map_or(0, |planned| planned.times)
    }
}

impl Plan {
    /// Returns what is to be done to a command.
    fn fault_for(&self, words: &[Bytes]) -> Option<Fault> {
        let mut plan = self.0.lock().unwrap();
        let planned = plan.as_mut()?;
        if planned.times == 0 || !(planned.chosen)(words) {
            return None;
        }
        planned.times -= 1;
        Some(planned.fault.clone())
    }
}

impl Drop for RedisProxy {
    fn drop(&mut self) {
        // The lines go with the task.
        self.accepting.abort();
    }
}
