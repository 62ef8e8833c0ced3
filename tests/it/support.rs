//! What the tests share.

#[cfg(all(unix, feature = "redis"))]
pub(crate) mod backing;
pub(crate) mod bodies;
pub(crate) mod examples;
pub(crate) mod faulty_store;
#[cfg(feature = "tracing")]
pub(crate) mod log;
#[cfg(feature = "metrics")]
pub(crate) mod meter;
#[cfg(all(unix, feature = "redis"))]
#[allow(dead_code, reason = "each use is a test's own")]
pub(crate) mod redis;
pub(crate) mod scene;
pub(crate) mod sockets;
pub(crate) mod wire;
