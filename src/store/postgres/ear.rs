use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{
    core::Core,
    driver::{Listener, Param},
};
use crate::{
    record_name::RecordName,
    runtime::{self, Instant},
    store::Changed,
};

/// Hears of changes, for all in this process who wait: by messages on a connection of its own,
/// which is there while somebody waits, and by a look at all their keys from time to time.
///
/// Messages are dear: all transactions that send one commit one after another. So whoever waits
/// takes a lock that tells so, and whoever ends a claim sends a message only where there is one.
#[derive(Debug, Default)]
pub(super) struct Ear {
    task: Mutex<Option<JoinHandle<()>>>,
}

/// How often all keys are looked at while messages come, and while none do.
const PUSHED: Duration = Duration::from_secs(1);
const POLLED: Duration = Duration::from_millis(250);

/// How long the connection is kept for the next who waits.
const LINGER: Duration = Duration::from_secs(5);

/// For how many keys messages are asked for. Each takes a place in the server's lock table, which
/// all its clients share; the rest is looked at.
const MOST_LOCKS: usize = 256;

impl Core {
    /// Returns a future that resolves once the key may have changed, counted from this call.
    ///
    /// Only the first poll has the key listened for, and begins with a look, so that what was
    /// changed between is not missed.
    pub(super) fn changed(self: &Arc<Self>, name: &RecordName) -> Changed {
        let (registration, changed) = self.waiters.wait(*name);
        let core = Arc::clone(self);
        Box::pin(async move {
            core.have_an_ear();
            changed.await;
            drop(registration);
        })
    }

    fn have_an_ear(self: &Arc<Self>) {
        let mut task = self.ear.task.lock().unwrap_or_else(PoisonError::into_inner);
        // A runtime that ended took its task along.
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(Arc::clone(self).hear()));
        }
    }

    /// Returns the keys that somebody waits for; none ends the task, where nobody does and it has
    /// lingered. Who begins to wait looks for the task after that.
    fn needed(&self, lingers: bool) -> Option<Vec<RecordName>> {
        let mut task = self.ear.task.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.waiters.names();
        if names.is_empty() && !lingers {
            *task = None;
            return None;
        }
        Some(names)
    }

    async fn hear(self: Arc<Self>) {
        let mut line = Line::default();
        let mut last_needed = Instant::now();
        while let Some(names) = self.needed(last_needed.elapsed() <= LINGER) {
            if !names.is_empty() {
                last_needed = Instant::now();
            }
            line.follow(&self, &names).await;
            self.look(&names).await;
            let pause = if line.listener.is_some() {
                PUSHED
            } else {
                POLLED
            };
            let next = Instant::now() + runtime::jittered(pause);
            loop {
                tokio::select! {
                    name = line.heard() => match name {
                        Some(name) => self.waiters.wake(&name),
                        None => break,
                    },
                    () = self.waiters.added.notified() => break,
                    () = runtime::sleep_until(next) => break,
                }
            }
        }
    }

    /// Wakes who waits for a key that nobody works under.
    async fn look(&self, names: &[RecordName]) {
        if names.is_empty() {
            return;
        }
        let Ok(held) = self.held(names).await else {
            return;
        };
        for name in names.iter().filter(|name| !held.contains(name)) {
            self.waiters.wake(name);
        }
    }

    async fn held(&self, names: &[RecordName]) -> Result<HashSet<RecordName>, super::Failure> {
        if self.transactional {
            let locks: Vec<_> = names.iter().map(|name| self.table.lock(name)).collect();
            let rows = self
                .query(&self.statements.locked, &[Param::Ints(&locks)])
                .await?;
            let locked: Result<HashSet<_>, _> = rows.iter().map(|row| row.int(0)).collect();
            let locked = locked?;
            let held = names.iter().zip(locks);
            let held = held.filter(|(_, lock)| locked.contains(lock));
            return Ok(held.map(|(name, _)| *name).collect());
        }
        let bytes: Vec<_> = names.iter().map(|name| &name.as_bytes()[..]).collect();
        let rows = self
            .query(&self.statements.held, &[Param::ManyBytes(&bytes)])
            .await?;
        let held = rows.iter().map(|row| {
            let name = row.bytes(0)?;
            let name = name[..].try_into().map_err(|_| super::Failure::foreign())?;
            Ok(RecordName::from_bytes(name))
        });
        held.collect()
    }
}

/// The connection that listens, and the keys that messages come for.
#[derive(Default)]
struct Line {
    listener: Option<Box<dyn Listener>>,
    followed: HashSet<RecordName>,
}

impl Line {
    /// Has messages sent for these keys, and for no others.
    async fn follow(&mut self, core: &Core, names: &[RecordName]) {
        if self.listener.is_none() {
            self.followed.clear();
            if names.is_empty() {
                return;
            }
            let listening = core.driver.listen(&core.channel);
            if let Ok(Some(Ok(listener))) = runtime::timeout(core.deadline, listening).await {
                self.listener = Some(listener);
            }
        }
        let Some(listener) = &mut self.listener else {
            return;
        };
        let wanted: HashSet<_> = names.iter().copied().take(MOST_LOCKS).collect();
        let mut script = String::new();
        for name in self.followed.difference(&wanted) {
            let lock = core.table.waiters_lock(name);
            let _ = write!(script, "SELECT pg_advisory_unlock_shared({lock});");
        }
        for name in wanted.difference(&self.followed) {
            // Waits for an owner that is just committing, and looks after that.
            let lock = core.table.waiters_lock(name);
            let _ = write!(script, "SELECT pg_advisory_lock_shared({lock});");
        }
        if script.is_empty() {
            return;
        }
        match runtime::timeout(core.deadline, listener.script(&script)).await {
            Ok(Ok(())) => self.followed = wanted,
            _ => self.listener = None,
        }
    }

    /// Returns the next key that a message names, whatever else comes; none when the line breaks.
    async fn heard(&mut self) -> Option<RecordName> {
        let Some(listener) = &mut self.listener else {
            return std::future::pending().await;
        };
        loop {
            let Some(message) = listener.heard().await else {
                self.listener = None;
                return None;
            };
            if let Ok(name) = message.parse() {
                return Some(name);
            }
        }
    }
}
