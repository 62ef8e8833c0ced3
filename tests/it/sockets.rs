//! The layer under real servers, on loopback sockets.

mod answers;
mod blocking;
mod bounds;
mod draining;
mod early_hang_ups;
mod hang_ups;
mod mounts;
mod requests;
