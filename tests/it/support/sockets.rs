//! Servers and clients on loopback sockets, and what can be seen of a request on its way.

mod client;
mod dice;
mod gate;
mod probe;
mod server;
mod store;

pub(crate) use self::{
    client::{Answer, Client, HangUp, Version, keyed},
    dice::Dice,
    gate::Gate,
    probe::{PATIENCE, Probe, Step},
    server::{Server, app, gated},
    store::Staged,
};
