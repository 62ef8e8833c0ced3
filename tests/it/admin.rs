//! What operators do by hand.

#[cfg(feature = "testing")]
mod broken;
#[cfg(feature = "testing")]
mod conformance;
#[cfg(all(
    unix,
    feature = "axum",
    feature = "encryption",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
mod inspect;
#[cfg(feature = "axum")]
mod layer;
mod memory;
#[cfg(all(unix, feature = "redis"))]
mod redis;
#[cfg(feature = "axum")]
mod router;
#[cfg(all(
    unix,
    feature = "postgres",
    feature = "redis",
    feature = "sqlite",
    feature = "tracing"
))]
mod told;
