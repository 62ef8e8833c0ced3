//! Everything that is tested through the public API, in one binary.

#[cfg(feature = "testing")]
mod broken_stores;
#[cfg(all(unix, feature = "redis"))]
mod redis;
mod sockets;
#[cfg(feature = "testing")]
mod store_conformance;
mod store_memory;
mod support;
mod wire;
