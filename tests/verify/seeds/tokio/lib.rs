//! Stands in for `tokio` where a run must be repeatable: the crate's own source is built against it.
//! It is tokio, but for the branch that `select!` looks at first, which tokio draws from a seed of
//! its own.

pub use real::*;

#[doc(hidden)]
pub use real as tokio;

#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => { $crate::tokio::select! { biased; $($branches)* } };
    ($($branches:tt)*) => { $crate::tokio::select! { biased; $($branches)* } };
}
