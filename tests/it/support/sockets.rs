//! Servers and clients on loopback sockets, and what can be seen of a request on its way.

mod client;
mod dice;
mod probe;
mod server;
mod store;

pub(crate) use self::{
    client::{Answer, Client, HangUp, Version},
    dice::Dice,
    probe::{Probe, Step},
    server::{Server, app, watched},
    store::Staged,
};
