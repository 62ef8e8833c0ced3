use std::time::Duration;

use tower_idempotency::PostgresStore;
use uuid::Uuid;

use super::PostgresServer;

/// How a store speaks to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Deadpool,
    #[cfg(feature = "sqlx")]
    Sqlx,
}

impl Driver {
    #[cfg(feature = "sqlx")]
    pub(crate) const ALL: [Self; 2] = [Self::Deadpool, Self::Sqlx];
    #[cfg(not(feature = "sqlx"))]
    pub(crate) const ALL: [Self; 1] = [Self::Deadpool];
}

/// Opens stores on one server, each as another process would: with a pool of its own.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    pub(crate) url: String,
    pub(crate) driver: Driver,
    pub(crate) transactional: bool,
    pub(crate) connections: u32,
    pub(crate) deadline: Duration,
    pub(crate) table: String,
}

impl Stores {
    /// Makes one that nobody else shares tables with.
    pub(crate) fn new(server: &PostgresServer, driver: Driver) -> Self {
        Self {
            url: server.url(),
            driver,
            transactional: false,
            connections: 8,
            // Machines under test are slow.
            deadline: Duration::from_secs(10),
            table: format!("idempotency_{}", Uuid::new_v4().simple()),
        }
    }

    pub(crate) fn transactional(server: &PostgresServer, driver: Driver) -> Self {
        Self {
            transactional: true,
            ..Self::new(server, driver)
        }
    }

    /// Makes the tables.
    pub(crate) async fn migrate(&self) {
        self.open().await.migrate().await.unwrap();
    }

    #[allow(
        clippy::unused_async,
        reason = "a store is opened so where the suite asks for one"
    )]
    pub(crate) async fn open(&self) -> PostgresStore {
        let mut builder = PostgresStore::builder()
            .table(&self.table)
            .deadline(self.deadline)
            .cleanup_interval(Duration::MAX);
        if self.transactional {
            builder = builder.transactional();
        }
        match self.driver {
            Driver::Deadpool => {
                let config: tokio_postgres::Config = self.url.parse().unwrap();
                let builder = builder.listen_with(config, tokio_postgres::NoTls);
                builder.pool(self.deadpool()).unwrap()
            }
            #[cfg(feature = "sqlx")]
            Driver::Sqlx => builder.sqlx_pool(self.sqlx()).unwrap(),
        }
    }

    pub(crate) fn deadpool(&self) -> deadpool_postgres::Pool {
        let config = self.url.parse().unwrap();
        let manager = deadpool_postgres::Manager::new(config, tokio_postgres::NoTls);
        let pool = deadpool_postgres::Pool::builder(manager);
        pool.max_size(self.connections as usize).build().unwrap()
    }

    #[cfg(feature = "sqlx")]
    pub(crate) fn sqlx(&self) -> sqlx::PgPool {
        sqlx::postgres::PgPoolOptions::new()
            .max_connections(self.connections)
            .connect_lazy(&self.url)
            .unwrap()
    }
}
