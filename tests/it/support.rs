//! What tests share.

#[cfg(feature = "axum")]
pub(crate) mod examples;
#[cfg(feature = "axum")]
pub(crate) mod sockets;
