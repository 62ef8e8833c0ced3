//! The SQLite store, on files of the tests' own.

#[cfg(all(unix, feature = "axum"))]
mod campaign;
#[cfg(feature = "testing")]
mod conformance;
mod contention;
pub(crate) mod database;
#[cfg(all(feature = "axum", feature = "client"))]
mod exactly_once;
mod files;
#[cfg(feature = "axum")]
mod kills;
mod operations;
mod power_cuts;
#[cfg(feature = "axum")]
mod shop;
mod statements;
#[cfg(target_os = "linux")]
mod syncs;
#[cfg(feature = "axum")]
mod transactions;
mod wal;
