//! The operation table of `Store` as a plain function of one key's state: what the model runs on,
//! and what the histories of real stores are compared with.
//!
//! It is written from the table in the documentation of `Store`, not from any store's code.

mod history;
mod operation;
mod rule;
mod slot;

pub use self::{
    history::{Event, History},
    operation::{Answer, Operation, Owner, Request},
    rule::Rule,
    slot::{Held, Slot},
};
