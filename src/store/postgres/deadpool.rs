//! tokio-postgres, with deadpool.

mod borrowed;
mod connecting;
mod listening;

use std::error::Error;

use async_trait::async_trait;
use deadpool_postgres::{
    BuildError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::{Config, NoTls};

use self::borrowed::Borrowed;
pub(super) use self::connecting::Connecting;
use super::{
    driver::{Driver, Listener, Session},
    failure::{Failure, FailureKind},
};

/// A pool, and how to open the connection that listens.
pub(super) struct Deadpool {
    pub(super) pool: Pool,
    pub(super) connector: Option<Connecting>,
}

/// Makes a pool for a server, as most would.
pub(super) fn pool(config: Config) -> Result<Pool, BuildError> {
    let settings = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(config, NoTls, settings);
    Pool::builder(manager).runtime(Runtime::Tokio1).build()
}

#[async_trait]
impl Driver for Deadpool {
    async fn session(&self) -> Result<Box<dyn Session>, Failure> {
        let client = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Failure {
                kind: FailureKind::NoConnection,
                ..failed(error)
            },
            error => Failure::new(FailureKind::NoConnection, error),
        })?;
        Ok(Box::new(Borrowed::new(client)))
    }

    async fn listen(&self, channel: &str) -> Option<Result<Box<dyn Listener>, Failure>> {
        let connector = self.connector.as_ref()?;
        Some(connector.listen(channel).await)
    }
}

fn failed(error: tokio_postgres::Error) -> Failure {
    if let Some(code) = error.code() {
        let code = code.code().to_owned();
        return Failure::of_code(&code, error);
    }
    let io = error
        .source()
        .is_some_and(<dyn Error>::is::<std::io::Error>);
    let kind = if error.is_closed() || io {
        FailureKind::Broken
    } else {
        FailureKind::Foreign
    };
    Failure::new(kind, error)
}
