//! All tests that go through the public API, in one binary.

#[cfg(feature = "client")]
mod client;
