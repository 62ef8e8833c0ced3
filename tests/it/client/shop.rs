//! A real server behind this crate's layer, which takes its time.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use axum::{Router, routing::post};
use http::StatusCode;
use tokio::{net::TcpListener, sync::Semaphore};
use tower_idempotency::{
    IdempotencyLayer, MemoryStore,
    client::{Failure, Key, RetryPolicy},
};

use super::script::{fixed, ms};

/// A charge is not done before a client was told that it is under way.
pub(crate) struct Shop {
    pub(crate) url: String,
    runs: Arc<AtomicU32>,
    told: Arc<Semaphore>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let (runs, told) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let (counter, gate) = (runs.clone(), told.clone());
        let charge = move || async move {
            counter.fetch_add(1, Ordering::Relaxed);
            gate.acquire().await.unwrap().forget();
            (StatusCode::CREATED, "charged")
        };
        let app = Router::new()
            .route("/charges", post(charge))
            .layer(IdempotencyLayer::new(MemoryStore::new()).require_key());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/charges", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, runs, told }
    }

    /// A policy too impatient for the shop, and what failed under it.
    pub(crate) fn customer(&self) -> (RetryPolicy, Arc<Mutex<Vec<Failure>>>) {
        let failures = Arc::new(Mutex::new(Vec::new()));
        let (log, told) = (failures.clone(), self.told.clone());
        let policy = fixed()
            .attempt_timeout(ms(1000))
            .idempotency_key(Key::UuidV7)
            .on_retry(move |event| {
                log.lock().unwrap().push(event.failure());
                if event.failure() == Failure::UnderWay {
                    told.add_permits(1);
                }
            })
            .build();
        (policy.unwrap(), failures)
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }
}
