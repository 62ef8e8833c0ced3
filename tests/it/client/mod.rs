//! The client half.

mod backoff;
mod bodies;
mod budget;
mod calls;
mod deadlines;
mod errors;
mod failures;
mod invalid;
mod keys;
mod retry_after;
mod script;
mod tower_policy;
