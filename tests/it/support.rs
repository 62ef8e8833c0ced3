//! What the tests share.

pub(crate) mod examples;
pub(crate) mod faulty_store;
pub(crate) mod scene;
pub(crate) mod sockets;
pub(crate) mod wire;
