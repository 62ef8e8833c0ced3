//! Idempotency keys for tower services.

#[cfg(feature = "client")]
pub mod client;
