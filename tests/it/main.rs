//! Everything that is tested through the public API, in one binary.

mod admin;
#[cfg(feature = "testing")]
mod broken_stores;
#[cfg(all(unix, feature = "axum"))]
mod campaign;
#[cfg(feature = "client")]
mod client;
mod docs;
#[cfg(all(feature = "axum", feature = "encryption"))]
mod encryption;
#[cfg(feature = "axum")]
mod examples;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(feature = "axum")]
mod readme;
mod record;
#[cfg(all(unix, feature = "redis"))]
mod redis;
#[cfg(feature = "axum")]
mod sockets;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "testing")]
mod store_conformance;
mod store_memory;
mod support;
#[cfg(all(feature = "axum", feature = "metrics", feature = "tracing"))]
mod telemetry;
#[cfg(feature = "axum")]
mod wire;
