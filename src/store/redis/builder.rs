use std::{sync::Arc, time::Duration};

use redis::{
    Client, IntoConnectionInfo, ProtocolVersion, aio::ConnectionLike,
    cluster::ClusterClientBuilder, sentinel::SentinelClient,
};

use super::{
    RedisStore,
    connect_error::{ConnectError, ConnectErrorKind},
    connector::{self, Connector},
    ear::{Ear, Source, hand_over},
    key::Key,
    link::Link,
    replicas::Wanted,
    safety::{Findings, UnsafeSettings},
    server::Server,
    wakeups::Wakeups,
};
use crate::{events, runtime::Instant, store::keys::Keys};

/// Sets up a [`RedisStore`], and connects it.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct RedisStoreBuilder {
    prefix: String,
    deadline: Duration,
    wait_replicas: usize,
    unsafe_settings: UnsafeSettings,
}

/// Connecting may take this long at least: more goes to and fro than in an operation.
const CONNECTING: Duration = Duration::from_secs(1);

/// What a store is made of, beside its settings.
struct Parts {
    server: Server,
    keys: Arc<Keys<Key>>,
    ear: Option<Source>,
}

impl RedisStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            prefix: "idem:".to_owned(),
            deadline: Duration::from_millis(500),
            wait_replicas: 0,
            unsafe_settings: UnsafeSettings::default(),
        }
    }

    /// Sets what every key begins with: stores of different services on one server need different
    /// ones.
    ///
    /// A hash tag (`{…}`) in it would put all keys on one node of a cluster.
    ///
    /// Default: `idem:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long an operation may take. One that takes longer is
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable), and the request is answered 503.
    ///
    /// It belongs well below a third of the lease, so that a renewal can be tried again.
    ///
    /// Default: 500 milliseconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.max(Duration::from_millis(1));
        self
    }

    /// Has claims, renewals and completions wait until so many replicas have them (`WAIT`).
    ///
    /// Then a failover to one of those loses nothing. Where too few have it within the deadline,
    /// the operation is [`Unavailable`](crate::store::StoreErrorKind::Unavailable), though the
    /// server may keep what was written. A replica without the write may still be promoted.
    /// `Refuse` does not help then; only a database whose failover loses nothing does.
    ///
    /// Costs one more round trip to the server and one to its replicas, and needs a server that
    /// tells its `INFO`. Not for clusters.
    ///
    /// Default: 0.
    pub fn wait_replicas(mut self, replicas: usize) -> Self {
        self.wait_replicas = replicas;
        self
    }

    /// Sets what to do when the server's settings lose keys.
    ///
    /// Default: [`UnsafeSettings::Refuse`].
    pub fn unsafe_settings(mut self, unsafe_settings: UnsafeSettings) -> Self {
        self.unsafe_settings = unsafe_settings;
        self
    }

    /// Connects to the server of a URL: `redis://`, `unix://`, or with the feature `redis-tls`
    /// `rediss://`.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] if the URL is invalid, the server does not answer, or its settings are
    /// refused.
    pub async fn connect(self, url: &str) -> Result<RedisStore, ConnectError> {
        let client = connector::open(url).map_err(ConnectError::invalid)?;
        self.connect_client(client).await
    }

    /// Connects to the server of a client, with the settings that it has.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] if the server does not answer, or its settings are refused.
    pub async fn connect_client(self, client: Client) -> Result<RedisStore, ConnectError> {
        let patience = self.patience();
        self.connect_one(Connector::to_server(client, patience))
            .await
    }

    /// Connects to whatever server is master, as the Sentinels say, and to its successor after a
    /// failover.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] if no Sentinel or no master answers, or its settings are refused.
    pub async fn connect_sentinel(
        self,
        client: SentinelClient,
    ) -> Result<RedisStore, ConnectError> {
        let patience = self.patience();
        self.connect_one(Connector::to_sentinel(client, patience))
            .await
    }

    /// Connects to the cluster that these nodes belong to.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] if a URL is invalid, no node answers, or the settings of one are refused.
    pub async fn connect_cluster<I>(self, nodes: I) -> Result<RedisStore, ConnectError>
    where
        I: IntoIterator,
        I::Item: IntoConnectionInfo,
    {
        connector::ensure_crypto();
        let keys = Arc::new(Keys::default());
        let client = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .push_sender(hand_over(Arc::clone(&keys)))
            .tcp_settings(connector::tcp_settings())
            .connection_timeout(self.patience())
            .response_timeout(self.deadline)
            .retries(3)
            .min_retry_wait(10)
            .max_retry_wait(100)
            .build()
            .map_err(ConnectError::invalid)?;
        let connection = Box::pin(client.get_async_connection())
            .await
            .map_err(ConnectError::unreachable)?;
        let parts = Parts {
            ear: Some(Source::Cluster(connection.clone(), self.patience())),
            server: Server::Many(Box::new(connection)),
            keys,
        };
        self.build(parts).await
    }

    /// Uses a connection that somebody else keeps alive: a `ConnectionManager`, say.
    ///
    /// Who waits for a key is not woken by messages then, but looks up to every half second.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] if the server does not answer, or its settings are refused.
    pub async fn connect_with<C>(self, connection: C) -> Result<RedisStore, ConnectError>
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let parts = Parts {
            server: Server::Many(Box::new(connection)),
            keys: Arc::default(),
            ear: None,
        };
        self.build(parts).await
    }

    fn patience(&self) -> Duration {
        self.deadline.max(CONNECTING)
    }

    async fn connect_one(self, connector: Connector) -> Result<RedisStore, ConnectError> {
        let connector = Arc::new(connector);
        connector::ensure_crypto();
        // Boxed: what redis makes to connect is too deep for a future that goes into others.
        let link = Link::connect(Arc::clone(&connector), self.wanted(), self.deadline);
        let link = Box::pin(link).await.map_err(ConnectError::unreachable)?;
        let parts = Parts {
            server: Server::One(link),
            keys: Arc::default(),
            ear: Some(Source::Server(connector)),
        };
        self.build(parts).await
    }

    async fn build(self, parts: Parts) -> Result<RedisStore, ConnectError> {
        self.check_waiting(&parts.server)?;
        let findings = self.check(&parts.server).await?;
        let is_cluster = findings.is_cluster || matches!(parts.ear, Some(Source::Cluster(..)));
        let server = Arc::new(parts.server);
        let ear = parts
            .ear
            .map(|source| Ear::new(source, Arc::clone(&parts.keys)));
        let wakeups = Wakeups::new(parts.keys, Arc::clone(&server), ear, self.deadline);
        let mut warnings = findings.unsafe_now;
        warnings.extend(findings.unsafe_in_a_crash);
        for warning in &warnings {
            events::redis_unsafe(warning);
        }
        Ok(RedisStore::new(super::Shared {
            server,
            prefix: self.prefix,
            deadline: self.deadline,
            is_cluster,
            wakeups,
            warnings,
        }))
    }

    async fn check(&self, server: &Server) -> Result<Findings, ConnectError> {
        if self.unsafe_settings == UnsafeSettings::Ignore {
            return Ok(Findings::default());
        }
        let findings = Findings::of(server, Instant::now() + self.patience())
            .await
            .map_err(ConnectError::unreachable)?;
        match findings.unsafe_now.first() {
            Some(first) if self.unsafe_settings == UnsafeSettings::Refuse => {
                Err(ConnectError::new(ConnectErrorKind::Unsafe, first, None))
            }
            _ => Ok(findings),
        }
    }

    fn wanted(&self) -> Option<Wanted> {
        (self.wait_replicas > 0)
            .then(|| Wanted::new(self.wait_replicas, &self.prefix, self.deadline))
    }

    fn check_waiting(&self, server: &Server) -> Result<(), ConnectError> {
        match server {
            Server::Many(_) if self.wait_replicas > 0 => Err(ConnectError::new(
                ConnectErrorKind::Invalid,
                "wait_replicas needs a connection to one server, which neither a cluster nor a \
                 connection of the user's gives",
                None,
            )),
            _ => Ok(()),
        }
    }
}
