use std::time::Duration;

use tower_idempotency::{RedisStore, store::RedisStoreBuilder};

/// A store whose deadline a machine that stands still for a moment does not miss: for tests of
/// anything but deadlines.
pub(crate) fn patient() -> RedisStoreBuilder {
    RedisStore::builder().deadline(Duration::from_secs(20))
}
