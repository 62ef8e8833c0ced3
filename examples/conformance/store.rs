use std::sync::Arc;

use tower_idempotency::{MemoryStore, Store};

/// Opens the store that a URL names.
#[allow(
    clippy::unused_async,
    reason = "opening a store across a network takes time"
)]
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>, String> {
    match url {
        "memory" => Ok(Arc::new(MemoryStore::new())),
        _ => Err(format!(
            "--store {url:?} is no store that this build knows (it knows: memory)"
        )),
    }
}
