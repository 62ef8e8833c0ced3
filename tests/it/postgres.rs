//! The PostgreSQL store, on servers of the tests' own.

#[cfg(feature = "testing")]
mod conformance;
