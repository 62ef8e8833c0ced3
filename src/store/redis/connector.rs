use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
    RedisResult, Value,
    aio::MultiplexedConnection,
    cmd,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
    sentinel::SentinelClient,
};
use tokio::sync::Mutex;

use crate::runtime;

/// Knows where the server is, and how to connect to it.
pub(super) struct Connector {
    target: Target,
    /// How long connecting may take.
    patience: Duration,
}

enum Target {
    Server(Client),
    /// Who is master is asked again for every connection.
    Sentinel(Mutex<SentinelClient>),
}

/// How many requests wait for their turn to be written, before the next one waits too.
const QUEUE: usize = 1024;

impl Connector {
    pub(super) const fn to_server(client: Client, patience: Duration) -> Self {
        Self {
            target: Target::Server(client),
            patience,
        }
    }

    pub(super) fn to_sentinel(client: SentinelClient, patience: Duration) -> Self {
        Self {
            target: Target::Sentinel(Mutex::new(client)),
            patience,
        }
    }

    /// Makes a connection that is used by many at once. Its answers have no deadline of their own.
    pub(super) async fn connect(&self) -> RedisResult<(MultiplexedConnection, ConnectionAddr)> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        self.in_time(async {
            let client = self.client().await?;
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            // A server that hangs lets itself be connected to. Any answer will do.
            match cmd("PING").query_async::<Value>(&mut connection).await {
                Err(error) if is_broken(&error) => return Err(error),
                _ => {}
            }
            Ok((connection, client.get_connection_info().addr().clone()))
        })
        .await
    }

    /// Returns a client of the server, or of the one that is master now.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        match &self.target {
            Target::Server(client) => Ok(client.clone()),
            Target::Sentinel(sentinel) => sentinel.lock().await.async_get_client().await,
        }
    }

    /// Returns whether the server that is connected to may have been replaced by another.
    pub(super) async fn has_moved(&self, from: &ConnectionAddr) -> bool {
        if matches!(self.target, Target::Server(_)) {
            return false;
        }
        let resolved = self.in_time(self.client()).await;
        resolved.is_ok_and(|client| client.get_connection_info().addr() != from)
    }

    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Gives up when connecting takes too long.
    pub(super) async fn in_time<T>(
        &self,
        connecting: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        runtime::timeout(self.patience, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Server(client) => write!(f, "{}", client.get_connection_info().addr()),
            Target::Sentinel(_) => f.write_str("Sentinel"),
        }
    }
}

/// Returns whether the connection has no more use after this error.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// Settings that notice a dead peer, and that do not hold back what is written.
pub(super) fn tcp_settings() -> TcpSettings {
    const IDLE: Duration = Duration::from_secs(10);
    let keepalive = TcpKeepalive::new().with_time(IDLE);
    #[cfg(any(target_os = "linux", target_os = "macos", windows))]
    let keepalive = keepalive.with_interval(Duration::from_secs(3));
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(3));
    settings
}

/// Gives rustls something to encrypt with, where the program has not chosen what.
pub(super) fn ensure_crypto() {
    #[cfg(feature = "redis-tls")]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may be faster: that will do too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Opens a client of a URL, with these settings.
pub(super) fn open(url: &str) -> RedisResult<Client> {
    Client::open(info(url)?)
}

fn info(url: &str) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    // Older servers do not know that command, and not every user may call it.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info
        .set_redis_settings(settings)
        .set_tcp_settings(tcp_settings()))
}
