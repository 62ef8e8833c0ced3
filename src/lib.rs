//! Idempotency keys for tower services: a request that is sent twice is carried out once and
//! answered twice.
//!
//! A client that loses a response cannot know whether its request was carried out. With
//! [`IdempotencyLayer`] around the service it need not know: it sends the request again under the
//! same `Idempotency-Key`, and gets the first response again.
//!
//! ```
//! use axum::{Router, routing::post};
//! use tower_idempotency::{IdempotencyLayer, MemoryStore};
//!
//! let idempotency = IdempotencyLayer::new(MemoryStore::new()).require_key();
//! let app: Router = Router::new().route("/charge", post(|| async { "charged" })).layer(idempotency);
//! ```
//!
//! One keyed request, top to bottom: its key is read, its body read whole, a fingerprint taken of
//! both and of where it goes; the key is claimed in the [`Store`]; the inner service runs; its
//! response is recorded, then sent. A request that finds the record gets it; one that finds another
//! at work is refused or waits; one that differs from the first is refused ([`Rejection`]). What was
//! begun runs to its end: when the client hangs up, the rest moves into a task.
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | every setting, whose key it is, and the order of layers | [`IdempotencyLayer`] |
//! | what the client is told | [`Rejection`] |
//! | which answers are recorded | [`Outcome`] |
//! | what a handler can see | [`IdempotencyContext`] |
//! | stopping a server | [`Drain`] |
//! | looking into a store, and mending it by hand | [`admin`] |
//! | stores, and writing one | [`store`] |
//! | retrying as a client | `client`, with the feature of that name |
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `axum` | the extractor, the whole path under a nested router, and the router for operators (axum 0.8) | yes |
//! | `postgres` | the store in PostgreSQL, on tokio-postgres with deadpool | |
//! | `sqlx` | the store in PostgreSQL, on sqlx (Rust 1.94) | |
//! | `redis` | the store in Redis or Valkey: one server, Sentinel or Cluster (Rust 1.88) | |
//! | `redis-tls` | the same over TLS (rustls) | |
//! | `sqlite` | the store in a SQLite file, which is built in | |
//! | `encryption` | records encrypted before they reach the store | |
//! | `metrics` | counters, histograms and gauges, through the facade of that name | |
//! | `tracing` | a span for each keyed request, and events: short digests, never a key, a scope, a credential or a body | |
//! | `client` | retries: the policy and its layers for tower HTTP clients | |
//! | `reqwest-012`, `reqwest-013` | `send_retry` on reqwest 0.12 and 0.13, with `client` | |
//! | `testing` | the conformance suite for stores | |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admin;
mod body;
#[cfg(feature = "client")]
pub mod client;
mod context;
mod digest;
mod drain;
mod events;
mod exchange;
mod fingerprint;
mod future;
mod guard;
mod hang_up;
mod hex;
mod key;
mod keyed;
mod layer;
mod lease;
mod outcome;
mod panics;
mod permits;
mod record;
mod record_name;
mod record_names;
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
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    admin::Admin,
    body::{RequestBody, ResponseBody},
    context::IdempotencyContext,
    drain::{Drain, DrainTimeout},
    fingerprint::Fingerprint,
    future::ResponseFuture,
    guard::Guard,
    key::{IdempotencyKey, InvalidKey},
    layer::IdempotencyLayer,
    outcome::{Effects, Outcome, UnknownOutcome},
    record::{InvalidRecord, Record},
    record_name::{InvalidRecordName, RecordName},
    record_names::RecordNames,
    rejection::Rejection,
    scope::Scope,
    service::Idempotency,
    settings::StoreFailure,
    store::{MemoryStore, Store},
};

#[cfg(feature = "redis")]
pub use self::store::RedisStore;
#[cfg(any(feature = "postgres", feature = "sqlx"))]
pub use self::store::{PgTransaction, PostgresStore};
#[cfg(feature = "sqlite")]
pub use self::store::{SqliteStore, SqliteTransaction};

// Every Rust block of the pages is a test.
#[cfg(all(doctest, feature = "axum", feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/getting-started.md")]
struct GettingStarted;
#[cfg(doctest)]
#[doc = include_str!("../docs/handlers.md")]
struct Handlers;
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/operations.md")]
struct Operations;
#[cfg(all(doctest, feature = "axum", feature = "postgres", feature = "sqlx"))]
#[doc = include_str!("../docs/postgres.md")]
struct Postgres;
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/redis.md")]
struct Redis;
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../docs/sqlite.md")]
struct Sqlite;
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../docs/writing-a-store.md")]
struct WritingAStore;
