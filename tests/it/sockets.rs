//! The layer under real servers, on loopback sockets.

mod blocking;
mod bounds;
mod early_hang_ups;
mod hang_ups;
