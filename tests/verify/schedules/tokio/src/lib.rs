//! Stands in for `tokio`: the crate's own source is built against it. Tasks are shuttle's, and time
//! passes only when the test says so.

mod select;

pub mod runtime;
pub mod sync;
pub mod task;
pub mod time;

#[doc(hidden)]
pub use select::{Race2, Race3, Winner2, Winner3};
