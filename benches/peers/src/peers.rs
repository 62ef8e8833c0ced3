//! The libraries that are compared: one router each, with its own store in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, http::HeaderValue};
use axum_idempotent::{IdempotentLayer, IdempotentOptions};
use ruts::{CookieOptions, SessionLayer, store::moka::MokaStore};
use tokio::runtime::Runtime;
use tower_cookies::CookieManagerLayer;

use crate::common::{
    router::charging,
    variant::{Key, Variant, layer},
};

/// What is sent to each library.
pub(crate) const KINDS: [&str; 3] = ["no key", "first request", "replay"];

/// One library and what it is sent, in the order of `KINDS`.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) variants: [Variant; 3],
}

pub(crate) fn bare() -> Variant {
    Variant::charge("bare router", charging(), Key::None)
}

pub(crate) fn peers(runtime: &Runtime) -> [Peer; 3] {
    let _inside = runtime.enter();
    [
        Peer::new("tower-idempotency", || charging().layer(layer())),
        Peer::new("idempotent 2.0", idempotent),
        Peer::new("axum-idempotent 0.6", axum_idempotent).with_sessions(),
    ]
}

impl Peer {
    fn new(name: &'static str, router: impl Fn() -> Router) -> Self {
        let [none, first, replay] = KINDS;
        let variants = [
            Variant::charge(none, router(), Key::None),
            Variant::charge(first, router(), Key::Fresh),
            Variant::charge(replay, router(), Key::Same),
        ];
        Self { name, variants }
    }

    /// A library that keeps its records in sessions, and none for a request without one. It looks
    /// through all records of a session for each new one, so that each has a session of its own.
    fn with_sessions(self) -> Self {
        let [none, first, replay] = self.variants;
        let variants = [
            none.with_session(same_session),
            first.with_session(new_session),
            replay.with_session(same_session),
        ];
        Self { variants, ..self }
    }
}

fn idempotent() -> Router {
    let store = idempotent::memory::MemoryStore::builder().try_build();
    let store = store.expect("it has a runtime");
    charging().layer(idempotent::middleware::IdempotencyLayer::new(store))
}

fn axum_idempotent() -> Router {
    let store = Arc::new(MokaStore::builder().max_capacity(10_000_000).build());
    let options = IdempotentOptions::default()
        .use_idempotency_key_header(Some("Idempotency-Key"), false)
        .expire_after(24 * 60 * 60);
    let cookie = CookieOptions::build().name("session");
    charging()
        .layer(IdempotentLayer::<MokaStore>::new(options))
        .layer(SessionLayer::new(store).with_cookie_options(cookie))
        .layer(CookieManagerLayer::new())
}

fn same_session() -> HeaderValue {
    session(0)
}

fn new_session() -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    session(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// 16 bytes in base64.
fn session(number: u64) -> HeaderValue {
    let cookie = format!("session={number:021}A");
    HeaderValue::try_from(cookie).expect("visible ASCII")
}
