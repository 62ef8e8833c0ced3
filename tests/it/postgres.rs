//! The PostgreSQL store, on servers of the tests' own.

#[cfg(feature = "axum")]
mod campaign;
#[cfg(feature = "testing")]
mod conformance;
#[cfg(feature = "axum")]
mod cuts;
mod guard;
mod operations;
#[cfg(feature = "axum")]
mod transactions;
mod wakeups;
