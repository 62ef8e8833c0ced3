use redis::{ErrorKind, RedisError};

/// There is no connection, and connecting has failed: whoever comes now does not wait.
pub(super) struct Down;

impl From<Down> for RedisError {
    fn from(_: Down) -> Self {
        (ErrorKind::Client, "there is no connection to the server").into()
    }
}
