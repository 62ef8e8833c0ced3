//! The layers that servers have around this one, before and after it: what each does to a first answer and a replay.
//!
//! Timeouts, panics, compression, limits on concurrency and authentication are in the crate's own tests, `wire/order.rs`.

mod app;
mod axum_extra;
mod sessions;
mod tower_http;
