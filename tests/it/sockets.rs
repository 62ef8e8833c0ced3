//! The layer under real servers, on loopback sockets.

mod hang_ups;
