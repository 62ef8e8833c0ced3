//! The protocol between clients, the exchanges that carry out their requests, and a store, as a
//! state machine that stateright walks through.
//!
//! # What can happen
//!
//! Clients send a request, hang up whenever they like, and send it again: each time a new exchange
//! with a new owner token takes it. A handler ends with an answer that is recorded, with one that
//! says that nothing was done, or with an outcome that nobody knows. An exchange dies at any moment,
//! or is paused for so long that its lease passes by its own clock. The store applies a request
//! late, never, or twice, or applies it and its reply is lost. Its clock jumps, so that a lease ends
//! early; it loses a key. How much of each: see [`Setting`].
//!
//! # What is left out
//!
//! One key. Records do not expire. Who finds an owner is told so, and does not wait (the schedules
//! and the simulation wait). One operation of an exchange is under way at a time, though late
//! duplicates of earlier ones meet it. Transactional stores, whose completion may be undone.

mod exchange;
mod found;
mod setting;
mod system;

pub use self::{
    exchange::{Exchange, Phase},
    found::Found,
    setting::Setting,
    system::State,
};
