//! The client half.

mod answers;
mod backoff;
mod bodies;
mod budget;
mod calls;
mod conflicts;
mod cost;
mod deadlines;
mod debug;
mod errors;
mod failures;
mod faulty;
mod http2;
mod hyper;
mod invalid;
mod keys;
#[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
mod reqwest;
mod retry_after;
mod script;
mod services;
mod shop;
mod sockets;
mod tower_policy;
