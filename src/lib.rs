//! Idempotency keys for tower services.

mod body;
mod digest;
mod fingerprint;
mod key;
mod outcome;
mod record;
mod record_name;
mod runtime;
mod scope;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    body::{RequestBody, ResponseBody},
    fingerprint::Fingerprint,
    key::{IdempotencyKey, InvalidKey},
    outcome::{Outcome, UnknownOutcome},
    record::{InvalidRecord, Record},
    record_name::RecordName,
    scope::Scope,
    store::{MemoryStore, Store},
};
