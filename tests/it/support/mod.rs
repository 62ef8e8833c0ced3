//! What the tests share, one file per thing.

pub(crate) mod faulty_store;
pub(crate) mod scene;
pub(crate) mod wire;
