//! What the tests share.

#[cfg(any(all(unix, feature = "redis"), feature = "postgres", feature = "sqlite"))]
pub(crate) mod backing;
pub(crate) mod bodies;
#[cfg(all(unix, feature = "axum"))]
#[allow(
    dead_code,
    reason = "a build without any shared store runs the oracle alone"
)]
pub(crate) mod campaign;
#[cfg(any(all(unix, feature = "redis"), feature = "postgres", feature = "sqlite"))]
#[allow(dead_code, reason = "each use is a test's own")]
pub(crate) mod claims;
pub(crate) mod examples;
pub(crate) mod faulty_store;
#[cfg(unix)]
pub(crate) mod leash;
#[cfg(feature = "tracing")]
pub(crate) mod log;
#[cfg(feature = "metrics")]
pub(crate) mod meter;
#[cfg(all(unix, feature = "postgres"))]
#[allow(dead_code, reason = "each use is a test's own")]
pub(crate) mod postgres;
#[cfg(all(unix, feature = "redis"))]
#[allow(dead_code, reason = "each use is a test's own")]
pub(crate) mod proxy;
#[cfg(all(unix, feature = "redis"))]
#[allow(dead_code, reason = "each use is a test's own")]
pub(crate) mod redis;
#[cfg(all(unix, feature = "axum", feature = "redis"))]
pub(crate) mod redis_cluster;
#[cfg(all(unix, feature = "axum", feature = "redis"))]
pub(crate) mod redis_proxy;
#[cfg(all(unix, feature = "redis"))]
pub(crate) mod redis_store;
pub(crate) mod scene;
pub(crate) mod sockets;
#[cfg(any(all(unix, feature = "redis"), feature = "postgres", feature = "sqlite"))]
pub(crate) mod stopwatch;
pub(crate) mod wire;
