//! Stands in for `std`: the crate's own source is built against it, so that shuttle sees every lock
//! and every atomic in it. `Arc` and `OnceLock` stay those of the standard library.

pub use ::std::*;

pub mod sync {
    pub use ::std::sync::*;
    pub use shuttle::sync::{Barrier, Condvar, Mutex, MutexGuard, RwLock, atomic, mpsc};
}

pub mod thread {
    pub use ::std::thread::*;
    pub use shuttle::thread::{JoinHandle, sleep, spawn, yield_now};
}
