//! What the fuzz targets share.

mod canned;
mod once;

pub use self::{
    canned::{Asked, Canned},
    once::{Answer, block_on, handler},
};
