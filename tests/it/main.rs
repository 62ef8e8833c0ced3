//! Everything that is tested through the public API, in one binary.

#[cfg(feature = "axum")]
mod examples;
#[cfg(feature = "axum")]
mod sockets;
mod store_memory;
mod support;
