use std::sync::Arc;

use tower_idempotency::{MemoryStore, Store};

/// Opens the store that a URL names.
#[allow(
    clippy::unused_async,
    reason = "opening a store across a network takes time"
)]
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>, String> {
    if url == "memory" {
        return Ok(Arc::new(MemoryStore::new()));
    }
    if let Some(opened) = open_redis(url).await {
        return opened.map_err(|error| format!("--store: {error}"));
    }
    #[cfg(feature = "sqlite")]
    if let Some(opened) = crate::sqlite::open(url).await {
        return opened.map_err(|error| format!("--store: {error}"));
    }
    #[cfg(feature = "postgres")]
    if let Some(opened) = crate::postgres::open(url).await {
        return opened.map_err(|error| format!("--store: {error}"));
    }
    // The rest of a URL may have a password in it.
    let scheme = url.split(':').next().unwrap_or_default();
    Err(format!(
        "--store {scheme:?} is no store that this build knows \
         (it knows: memory{REDIS}{SQLITE}{POSTGRES})"
    ))
}

#[cfg(feature = "postgres")]
const POSTGRES: &str = ", postgres://, postgres+tx://";
#[cfg(not(feature = "postgres"))]
const POSTGRES: &str = "";

#[cfg(feature = "redis")]
const REDIS: &str = ", redis://, rediss://, unix://, redis+cluster://, redis+sentinel://";
#[cfg(not(feature = "redis"))]
const REDIS: &str = "";

#[cfg(feature = "sqlite")]
const SQLITE: &str = ", sqlite:PATH, sqlite+tx:PATH";
#[cfg(not(feature = "sqlite"))]
const SQLITE: &str = "";

/// Opens a Redis store, if the URL is for one: `redis+cluster://a,b,c` names some of a cluster's
/// nodes, and `redis+sentinel://a,b,c/name` the Sentinels of a master.
#[cfg(feature = "redis")]
async fn open_redis(url: &str) -> Option<Result<Arc<dyn Store>, String>> {
    use redis::sentinel::{SentinelClient, SentinelServerType};
    use tower_idempotency::RedisStore;

    let urls = |hosts: &str| -> Vec<_> {
        let hosts = hosts.split(',');
        hosts.map(|host| format!("redis://{host}")).collect()
    };
    let builder = RedisStore::builder();
    let (scheme, rest) = url.split_once("://")?;
    let connected = match scheme {
        "redis" | "rediss" | "unix" => builder.connect(url).await,
        "redis+cluster" => builder.connect_cluster(urls(rest)).await,
        "redis+sentinel" => {
            let (hosts, master) = rest.split_once('/').unwrap_or((rest, "mymaster"));
            let master = master.to_owned();
            let kind = SentinelServerType::Master;
            match SentinelClient::build(urls(hosts), master, None, kind) {
                Ok(client) => builder.connect_sentinel(client).await,
                Err(error) => return Some(Err(error.to_string())),
            }
        }
        _ => return None,
    };
    Some(match connected {
        Ok(store) => {
            for warning in store.warnings() {
                eprintln!("conformance: warning: {warning}");
            }
            Ok(Arc::new(store))
        }
        Err(error) => Err(error.to_string()),
    })
}

#[cfg(not(feature = "redis"))]
#[allow(clippy::unused_async, reason = "as with the feature")]
async fn open_redis(_: &str) -> Option<Result<Arc<dyn Store>, String>> {
    None
}
