//! What tests share.

pub(crate) mod sockets;
