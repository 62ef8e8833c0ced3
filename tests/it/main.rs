//! Everything that is tested through the public API, in one binary.

mod broken_stores;
mod store_conformance;
mod store_memory;
