use std::sync::Arc;

use tower_idempotency::{Admin, store};

use crate::{Failure, flags::Flags};

type Opened = Result<Arc<dyn Admin>, Failure>;

/// Opens the store that the flags name.
pub(crate) async fn open(flags: &Flags) -> Opened {
    let url = flags.store.as_deref().unwrap_or_default();
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" => sqlite(flags, url).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "unix" | "redis+cluster" | "redis+sentinel" => {
            redis_at(flags, url, scheme).await
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres(flags, url).await,
        // The rest of a URL may have a password in it.
        _ => Err(unusable(format!(
            "--store {scheme:?} is no store that this build knows (it knows:{KNOWN}); a store in memory is \
             seen by its own process alone"
        ))),
    }
}

const KNOWN: &str = known();

const fn known() -> &'static str {
    match (
        cfg!(feature = "sqlite"),
        cfg!(feature = "redis"),
        cfg!(feature = "postgres"),
    ) {
        (true, true, true) => " sqlite:, redis://, postgres://",
        (true, true, false) => " sqlite:, redis://",
        (true, false, true) => " sqlite:, postgres://",
        (false, true, true) => " redis://, postgres://",
        (true, false, false) => " sqlite:",
        (false, true, false) => " redis://",
        (false, false, true) => " postgres://",
        (false, false, false) => " none: build it with --features redis, say",
    }
}

fn unusable(message: impl Into<String>) -> Failure {
    Failure::Unusable(message.into())
}

/// Puts a store behind the encryption that the flags ask for.
#[cfg(feature = "encryption")]
#[allow(dead_code, reason = "a build without any store has none to wrap")]
fn wrapped(flags: &Flags, store: impl Admin) -> Opened {
    let mut keys = flags.encryption.iter();
    let Some((id, key)) = keys.next() else {
        return Ok(Arc::new(store));
    };
    let mut ring = store::KeyRing::new(*id, key);
    for (id, key) in keys {
        if flags
            .encryption
            .iter()
            .filter(|(other, _)| other == id)
            .count()
            > 1
        {
            return Err(unusable(format!("--encryption names two keys {id}")));
        }
        ring = ring.and(*id, key);
    }
    Ok(Arc::new(store::Encrypted::new(store, ring)))
}

#[cfg(not(feature = "encryption"))]
#[allow(dead_code, reason = "a build without any store has none to wrap")]
fn wrapped(flags: &Flags, store: impl Admin) -> Opened {
    if flags.encryption.is_empty() {
        Ok(Arc::new(store))
    } else {
        Err(unusable(
            "--encryption needs a build with --features encryption",
        ))
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(flags: &Flags, url: &str) -> Opened {
    let path = url.strip_prefix("sqlite:").unwrap_or_default();
    // To open a store makes the file, and one that was not there is not the one that is meant.
    if !std::path::Path::new(path).is_file() {
        return Err(unusable(format!("--store {url}: there is no such file")));
    }
    let store = store::SqliteStore::open(path).await;
    wrapped(
        flags,
        store.map_err(|error| unusable(format!("--store {url}: {error}")))?,
    )
}

#[cfg(feature = "redis")]
async fn redis_at(flags: &Flags, url: &str, scheme: &str) -> Opened {
    use redis::sentinel::{SentinelClient, SentinelServerType};
    use tower_idempotency::store::{RedisStore, UnsafeSettings};

    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let urls = |hosts: &str| -> Vec<_> {
        let hosts = hosts.split(',');
        hosts.map(|host| format!("redis://{host}")).collect()
    };
    // Also on a server that may lose keys there is something to look at.
    let mut builder = RedisStore::builder()
        .unsafe_settings(UnsafeSettings::Warn)
        .deadline(std::time::Duration::from_secs(5));
    if let Some(prefix) = &flags.prefix {
        builder = builder.prefix(prefix);
    }
    let connected = match scheme {
        "redis+cluster" => builder.connect_cluster(urls(rest)).await,
        "redis+sentinel" => {
            let (hosts, master) = rest.split_once('/').unwrap_or((rest, "mymaster"));
            let kind = SentinelServerType::Master;
            let master = master.to_owned();
            let client = SentinelClient::build(urls(hosts), master, None, kind);
            builder.connect_sentinel(client?).await
        }
        _ => builder.connect(url).await,
    };
    wrapped(
        flags,
        connected.map_err(|error| unusable(format!("--store: {error}")))?,
    )
}

#[cfg(feature = "postgres")]
async fn postgres(flags: &Flags, url: &str) -> Opened {
    let mut builder = store::PostgresStore::builder().deadline(std::time::Duration::from_secs(10));
    if let Some(table) = &flags.table {
        builder = builder.table(table);
    }
    let connected = builder.connect(url).await;
    wrapped(
        flags,
        connected.map_err(|error| unusable(format!("--store: {error}")))?,
    )
}
