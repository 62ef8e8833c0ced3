//! The PostgreSQL store, on servers of the tests' own.

#[cfg(feature = "axum")]
mod campaign;
#[cfg(feature = "testing")]
mod conformance;
#[cfg(feature = "axum")]
mod cuts;
#[cfg(feature = "axum")]
mod diesel;
#[cfg(all(feature = "axum", feature = "client"))]
mod exactly_once;
mod failures;
mod guard;
mod operations;
#[cfg(feature = "testing")]
mod rights;
#[cfg(feature = "axum")]
mod transactions;
mod wakeups;
