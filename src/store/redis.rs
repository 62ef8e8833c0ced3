//! The store in Redis or Valkey.

mod admin;
mod builder;
mod connect_error;
mod connector;
mod down;
mod ear;
mod foreign;
mod key;
mod link;
mod listed;
mod nodes;
mod replicas;
mod safety;
mod script;
mod server;
mod value;
mod wakeups;
mod who;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use redis::{ErrorKind, RedisError};

pub use self::{
    builder::RedisStoreBuilder,
    connect_error::{ConnectError, ConnectErrorKind},
    safety::UnsafeSettings,
};
use self::{
    foreign::Foreign,
    key::Key,
    replicas::Replicas,
    script::{Call, Script},
    server::Server,
    wakeups::Wakeups,
};
use crate::{
    fingerprint::Fingerprint,
    outcome::UnknownOutcome,
    record_name::RecordName,
    store::{
        Changed, Claim, Claimed, Completion, Effects, Renewal, Store, StoreError, StoreErrorKind,
    },
};

/// Keeps claims and records in Redis or Valkey (6.2 or later), for all processes that share the
/// server; clones share its connection.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_idempotency::{IdempotencyLayer, RedisStore};
///
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// let layer = IdempotencyLayer::new(store).require_key();
/// # Ok(()) }
/// ```
///
/// # What it promises
///
/// As much as the server keeps of what it acknowledged. With `maxmemory-policy noeviction`,
/// `appendonly yes`, `appendfsync always` and no failover that loses writes, that is everything.
/// [`connect`](Self::connect) looks at the settings: see [`UnsafeSettings`].
///
/// Leases are measured by the server's clock. Set forward, it ends leases early by as much. Set
/// back, it makes no lease longer than the lease that was asked for, once somebody else claims.
///
/// # How it works
///
/// Each operation is one script on one key, so one round trip, and may be repeated. A claim that
/// nobody completed takes a value of 123 bytes, a record 18 bytes and its own.
///
/// One connection serves all operations. While there is none, they fail at once; it is replaced
/// when the server no longer answers. Another one is made once somebody waits for a key.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

struct Shared {
    server: Arc<Server>,
    prefix: String,
    deadline: Duration,
    is_cluster: bool,
    wakeups: Wakeups,
    warnings: Vec<String>,
}

impl RedisStore {
    fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Connects to the server of a URL, with the defaults of the [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] if the URL is invalid, the server does not answer, or its settings are
    /// refused.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder().connect(url).await
    }

    /// Returns a builder with every setting, that connects to one server, Sentinel or a cluster.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::new()
    }

    /// Returns what the server's settings may lose, and what could not be checked: one line each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.shared.warnings
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.shared.server)
            .field("prefix", &self.shared.prefix)
            .field("deadline", &self.shared.deadline)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let key = self.key(claim.name());
        let call = Script::Claim
            .call(&key, claim, 0)
            .arg(&fingerprint.as_bytes()[..])
            .arg(millis(claim.lease()))
            .arg(millis(claim.lease() + claim.ttl()))
            .arg(i32::from(unknown_outcome == UnknownOutcome::Retry));
        let (code, payload, replicas) = self.shared.write(&call).await?;
        Ok(match code {
            b'a' => {
                let acquired = value::acquired(&payload)?;
                replicate(replicas).await?;
                Claimed::Acquired(acquired)
            }
            b'h' => {
                let (left, fingerprint) = value::held(&payload)?;
                Claimed::Held {
                    fingerprint: Some(fingerprint),
                    left: Some(Duration::from_millis(left)),
                }
            }
            b'u' => Claimed::Unknown {
                fingerprint: value::fingerprint(&payload)?,
                effect_committed: false,
            },
            b'c' => Claimed::Completed(value::record(&payload)?),
            _ => return Err(Foreign::Answer.into()),
        })
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        let key = self.key(claim.name());
        let call = Script::Renew
            .call(&key, claim, 0)
            .arg(millis(claim.lease()))
            .arg(millis(claim.lease() + claim.ttl()));
        let (code, _, replicas) = self.shared.write(&call).await?;
        match code {
            b'r' => {
                replicate(replicas).await?;
                Ok(Renewal::Renewed)
            }
            b'l' => Ok(Renewal::Lost),
            _ => Err(Foreign::Answer.into()),
        }
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _effects: Effects,
    ) -> Result<Completion, StoreError> {
        let key = self.key(claim.name());
        let call = Script::Complete
            .call(&key, claim, record.len())
            .arg(&record[..])
            .arg(millis(claim.ttl()))
            .arg(self.shared.wake());
        let (code, _, replicas) = self.shared.write(&call).await?;
        match code {
            b'k' => {
                self.shared.wakeups.wake(&key);
                replicate(replicas).await?;
                Ok(Completion::Kept)
            }
            b's' => Ok(Completion::Superseded),
            _ => Err(Foreign::Answer.into()),
        }
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end(Script::Release, claim).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end(Script::Abandon, claim).await
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.shared.wakeups.changed(self.key(name))
    }
}

impl RedisStore {
    fn key(&self, name: &RecordName) -> Key {
        Key::new(&self.shared.prefix, name)
    }

    async fn end(&self, script: Script, claim: &Claim) -> Result<(), StoreError> {
        let key = self.key(claim.name());
        let call = script.call(&key, claim, 0).arg(self.shared.wake());
        self.shared.run(&call).await?;
        self.shared.wakeups.wake(&key);
        Ok(())
    }
}

impl Shared {
    /// Returns the command that wakes who waits in other processes: in a cluster, a message goes to
    /// the key's node alone.
    const fn wake(&self) -> &'static str {
        if self.is_cluster {
            "SPUBLISH"
        } else {
            "PUBLISH"
        }
    }

    async fn run(&self, call: &Call) -> Result<(u8, Bytes), StoreError> {
        let (code, payload, _) = self.write(call).await?;
        Ok((code, payload))
    }

    /// Runs a script whose writes replicas are to have: those of the server that ran it.
    async fn write(&self, call: &Call) -> Result<(u8, Bytes, Option<Arc<Replicas>>), StoreError> {
        let (answer, replicas) = self.server.call(call, self.deadline).await?;
        let (code, payload) = call.answer(answer)?;
        Ok((code, payload, replicas))
    }
}

/// Waits until the replicas have what was written, where that was asked for.
async fn replicate(replicas: Option<Arc<Replicas>>) -> Result<(), StoreError> {
    match replicas {
        Some(replicas) if !replicas.have_all().await => {
            let error: RedisError =
                (ErrorKind::Client, "too few replicas have what was written").into();
            Err(StoreError::new(StoreErrorKind::Unavailable, error))
        }
        _ => Ok(()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
