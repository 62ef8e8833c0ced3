//! The SQLite store, on files of the tests' own.

#[cfg(feature = "testing")]
mod conformance;
mod database;
