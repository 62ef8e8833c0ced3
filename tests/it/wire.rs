//! What goes over the wire: every answer of the layer, without a socket.

mod grpc;
mod guard;
mod hang_up;
mod identity;
mod keys;
mod layers;
mod lease;
mod omitted;
mod openapi;
mod order;
mod outcomes;
mod principals;
mod properties;
mod readiness;
mod refusals;
mod replay;
mod secrets;
mod settings;
mod store_failure;
mod unknown;
mod vectors;
mod waiting;
