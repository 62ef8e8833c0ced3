//! What goes over the wire: every answer of the layer, without a socket.

mod grpc;
mod keys;
mod lease;
mod omitted;
mod outcomes;
mod readiness;
mod refusals;
mod replay;
mod unknown;
mod waiting;
