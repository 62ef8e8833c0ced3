//! Everything that is tested through the public API, in one binary.

mod store_conformance;
mod store_memory;
