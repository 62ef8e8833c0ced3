use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::permits::Permits;

/// Lets a server stop without losing a result.
///
/// Work goes on when its client hangs up, so the end of the last connection is not the end of the
/// last handler, and returning from `main` drops what still runs. Drain after the server's own
/// graceful shutdown:
///
/// ```no_run
/// # async fn serve() -> std::io::Result<()> {
/// use std::time::Duration;
/// use axum::{Router, routing::post};
/// use tower_idempotency::{IdempotencyLayer, MemoryStore};
///
/// let layer = IdempotencyLayer::new(MemoryStore::new());
/// let drain = layer.drain_handle();
/// let app = Router::new().route("/charge", post(|| async { "charged" })).layer(layer);
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, app)
///     .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.expect("a signal handler") })
///     .await?;
/// if let Err(left) = drain.drain(Duration::from_secs(30)).await {
///     eprintln!("{left}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Drain(Arc<Permits>);

impl Drain {
    pub(crate) const fn new(permits: Arc<Permits>) -> Self {
        Self(permits)
    }

    /// Refuses new keyed requests with 503 `draining`, and waits until every handler has ended
    /// and its result is saved, but no longer than `limit`.
    ///
    /// There is no way back: the layer goes on refusing afterwards.
    ///
    /// # Errors
    ///
    /// [`DrainTimeout`] where the limit passed first. What still runs goes on; its claims lapse
    /// if the process ends.
    pub async fn drain(&self, limit: Duration) -> Result<(), DrainTimeout> {
        match self.0.drain(limit).await {
            0 => Ok(()),
            in_flight => Err(DrainTimeout { in_flight }),
        }
    }

    /// Returns how many keyed requests are being carried out or saved.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }
}

/// Some handlers had not ended within the limit of [`Drain::drain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainTimeout {
    /// How many were left.
    pub in_flight: usize,
}

impl fmt::Display for DrainTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} keyed requests were still in flight when draining ended",
            self.in_flight
        )
    }
}

impl Error for DrainTimeout {}
