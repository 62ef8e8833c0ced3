//! What goes over the wire: every answer of the layer, without a socket.

mod grpc;
mod hang_up;
mod identity;
mod keys;
mod lease;
mod omitted;
mod outcomes;
mod principals;
mod properties;
mod readiness;
mod refusals;
mod replay;
mod store_failure;
mod unknown;
mod waiting;
