//! PostgreSQL servers of the tests' own, and stores on them. Each server is on a free port, in a
//! directory of its own, gone with the value that stands for it, and with the test's process,
//! however that ends.

mod pooler;
mod proxy;
mod server;
#[cfg(feature = "axum")]
mod shop;
mod stores;

#[cfg(feature = "axum")]
pub(crate) use self::shop::Shop;
pub(crate) use self::{
    pooler::Pooler,
    proxy::Proxy,
    server::PostgresServer,
    stores::{Driver, Stores},
};
