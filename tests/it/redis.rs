//! The Redis store, on servers of the tests' own.

mod acl;
#[cfg(feature = "axum")]
mod campaign;
mod cancelled;
#[cfg(feature = "testing")]
pub(crate) mod cluster;
#[cfg(feature = "testing")]
mod conformance;
mod connection;
#[cfg(feature = "axum")]
mod faults;
#[cfg(feature = "axum")]
mod fleet;
mod operations;
mod outages;
#[cfg(feature = "axum")]
mod records;
mod replicas;
mod sentinel;
mod settings;
mod sizes;
mod swapped;
#[cfg(feature = "redis-tls")]
mod tls;
mod wakeups;

use crate::support::claims;
