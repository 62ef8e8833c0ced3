//! The SQLite store, on files of the tests' own.

#[cfg(feature = "testing")]
mod conformance;
mod contention;
mod database;
mod files;
mod operations;
#[cfg(feature = "axum")]
mod shop;
#[cfg(feature = "axum")]
mod transactions;
mod wal;
