//! Everything that is tested through the public API, in one binary.

#[cfg(feature = "client")]
mod client;
mod store_memory;
