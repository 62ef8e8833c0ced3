//! Retries for HTTP clients, safe as far as the server makes them so.

mod attempt;
mod backoff;
mod budget;
mod buffer;
mod buffered_body;
mod builder;
mod delays;
mod error;
mod event;
mod failure;
mod head;
mod info;
mod jitter;
mod key_source;
mod layer;
mod message;
mod outcome;
mod policy;
mod read_answer;
mod repeat_body;
#[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
mod reqwest;
mod retry_after;
mod service;
mod session;
mod settings;

pub use self::{
    backoff::Backoff,
    budget::Budget,
    buffer::{BufferFuture, BufferLayer, BufferService},
    buffered_body::BufferedBody,
    builder::{InvalidPolicy, RetryPolicyBuilder},
    error::CallError,
    event::{Cause, RetryEvent},
    failure::Failure,
    info::{RetryInfo, Stop},
    jitter::Jitter,
    key_source::{Key, KeyFn},
    layer::RetryLayer,
    message::{RetryRequest, RetryResponse},
    policy::RetryPolicy,
    read_answer::{ReadAnswer, ReadAnswerFuture, ReadAnswerLayer},
    repeat_body::RepeatBody,
    service::{RetryFuture, RetryService},
};

#[cfg(any(feature = "reqwest-012", feature = "reqwest-013"))]
pub use self::reqwest::SendRetry;
