//! The layer under real servers, on loopback sockets.

mod bounds;
mod early_hang_ups;
mod hang_ups;
