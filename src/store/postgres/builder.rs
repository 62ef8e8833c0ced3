use std::{sync::Arc, time::Duration};

#[cfg(feature = "postgres")]
use super::connect_error::PostgresConnectError;
use super::{
    PostgresStore, cleanup::Cleanup, core::Core, driver::Driver, ear::Ear,
    invalid_name::InvalidName, open::Open, statements::Statements, table::Table, waiters::Waiters,
};

/// Sets up a [`PostgresStore`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it has a pool"]
pub struct PostgresStoreBuilder {
    schema: String,
    table: String,
    deadline: Duration,
    cleanup_interval: Duration,
    cleanup_batch: u32,
    transactional: bool,
    #[cfg(feature = "postgres")]
    connector: Option<super::deadpool::Connecting>,
}

impl PostgresStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            schema: "public".to_owned(),
            table: "idempotency".to_owned(),
            deadline: Duration::from_secs(2),
            cleanup_interval: Duration::from_secs(60),
            cleanup_batch: 1000,
            transactional: false,
            #[cfg(feature = "postgres")]
            connector: None,
        }
    }

    /// Has each claim open a transaction, which the handler finds as a
    /// [`PgTransaction`](super::PgTransaction): its writes and the record commit together.
    ///
    /// Servers that share a table need the same mode.
    ///
    /// Default: claims are committed first, and the handler's writes are its own.
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Sets the schema of the tables.
    ///
    /// Default: `public`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets the name of the table; that of the second one ends in `_effects`.
    ///
    /// Default: `idempotency`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets how long an operation may take, waiting for a connection of the pool included. One that
    /// takes longer is [`Unavailable`](crate::store::StoreErrorKind::Unavailable), and the request
    /// is answered 503. A handler's own statements are not limited by it.
    ///
    /// It belongs below a third of the lease, so that a renewal can be tried again.
    ///
    /// Default: 2 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.max(Duration::from_millis(1));
        self
    }

    /// Sets how often each server deletes what expired, or with [`Duration::MAX`] that it does
    /// not: see [`PostgresStore::clean_up`].
    ///
    /// Default: every minute.
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets how many keys one statement deletes at most.
    ///
    /// Default: 1000.
    pub fn cleanup_batch(mut self, keys: u32) -> Self {
        self.cleanup_batch = keys.max(1);
        self
    }

    /// Says how to open the connection that hears of changes, which
    /// [`pool`](Self::pool) does not tell. Without it, who waits for a key looks four times a second.
    ///
    /// It has to lead to the server itself, or to a pooler in session mode.
    ///
    /// Default: none; [`connect`](Self::connect) knows by itself.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub fn listen_with<T>(mut self, config: tokio_postgres::Config, tls: T) -> Self
    where
        T: tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>
            + Clone
            + Send
            + Sync
            + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send + Sync + 'static,
        <T::TlsConnect as tokio_postgres::tls::TlsConnect<tokio_postgres::Socket>>::Future: Send,
    {
        self.connector = Some(super::deadpool::Connecting::new(config, tls));
        self
    }

    /// Makes a pool of its own for the server of a URL, without TLS, and looks whether it answers.
    /// The pool has four connections for each core.
    ///
    /// # Errors
    ///
    /// A [`PostgresConnectError`] if the URL or a name is invalid, or the server does not answer.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub async fn connect(self, url: &str) -> Result<PostgresStore, PostgresConnectError> {
        let config: tokio_postgres::Config = url.parse().map_err(PostgresConnectError::invalid)?;
        let pool = super::deadpool::pool(config.clone()).map_err(PostgresConnectError::invalid)?;
        let store = self
            .listen_with(config, tokio_postgres::NoTls)
            .pool(pool)
            .map_err(PostgresConnectError::invalid)?;
        store
            .answers()
            .await
            .map_err(PostgresConnectError::unreachable)?;
        Ok(store)
    }

    /// Uses the connections of a pool of deadpool's.
    ///
    /// # Errors
    ///
    /// An [`InvalidName`] if PostgreSQL would not keep the name of the schema or the table.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub fn pool(self, pool: deadpool_postgres::Pool) -> Result<PostgresStore, InvalidName> {
        let connector = self.connector.clone();
        self.build(super::deadpool::Deadpool { pool, connector })
    }

    /// Uses the connections of a pool of sqlx's.
    ///
    /// # Errors
    ///
    /// An [`InvalidName`] if PostgreSQL would not keep the name of the schema or the table.
    #[cfg(feature = "sqlx")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlx")))]
    pub fn sqlx_pool(self, pool: sqlx::PgPool) -> Result<PostgresStore, InvalidName> {
        self.build(super::sqlx::Sqlx { pool })
    }

    fn build(self, driver: impl Driver + 'static) -> Result<PostgresStore, InvalidName> {
        let table = Table::new(&self.schema, &self.table)?;
        let waiters = Arc::<Waiters>::default();
        let core = Core {
            driver: Box::new(driver),
            statements: Statements::of(&table),
            channel: table.channel(),
            table,
            deadline: self.deadline,
            transactional: self.transactional,
            open: Open::new(Arc::clone(&waiters), self.deadline),
            waiters,
            ear: Ear::default(),
            cleanup: Cleanup::new(self.cleanup_interval, self.cleanup_batch),
        };
        Ok(PostgresStore::new(core))
    }
}
