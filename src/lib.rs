//! Idempotency keys for tower services.

mod body;
mod context;
mod digest;
mod drain;
mod events;
mod exchange;
mod fingerprint;
mod future;
mod hang_up;
mod key;
mod keyed;
mod layer;
mod outcome;
mod permits;
mod record;
mod record_name;
mod rejection;
mod renewer;
mod replay;
mod run;
mod runtime;
mod scope;
mod service;
mod settings;
mod settle;
mod shared;
pub mod store;

pub use self::{
    body::{RequestBody, ResponseBody},
    context::IdempotencyContext,
    drain::{Drain, DrainTimeout},
    fingerprint::Fingerprint,
    future::ResponseFuture,
    key::{IdempotencyKey, InvalidKey},
    layer::IdempotencyLayer,
    outcome::{Outcome, UnknownOutcome},
    record::{InvalidRecord, Record},
    record_name::RecordName,
    rejection::Rejection,
    scope::Scope,
    service::Idempotency,
    settings::StoreFailure,
    store::{Effects, MemoryStore, Store},
};

#[cfg(feature = "client")]
pub mod client;
