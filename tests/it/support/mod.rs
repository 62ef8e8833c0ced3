//! What the tests share, one file per thing.

pub(crate) mod bodies;
pub(crate) mod faulty_store;
#[cfg(feature = "tracing")]
pub(crate) mod log;
pub(crate) mod scene;
pub(crate) mod wire;
