//! What the tests share.

pub(crate) mod bodies;
pub(crate) mod examples;
pub(crate) mod faulty_store;
#[cfg(feature = "tracing")]
pub(crate) mod log;
pub(crate) mod scene;
pub(crate) mod sockets;
pub(crate) mod wire;
