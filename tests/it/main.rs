//! Everything that is tested through the public API, in one binary.

mod store_memory;
mod support;
mod wire;
