//! The Redis store, on servers of the tests' own.

mod acl;
#[cfg(feature = "axum")]
mod campaign;
mod cancelled;
#[cfg(feature = "testing")]
mod cluster;
#[cfg(feature = "testing")]
mod conformance;
mod connection;
mod operations;
mod replicas;
mod sentinel;
mod settings;
mod swapped;
#[cfg(feature = "redis-tls")]
mod tls;
mod wakeups;

use crate::support::claims;
