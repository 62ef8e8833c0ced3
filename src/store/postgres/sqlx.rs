//! sqlx.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Column, Connection as _, PgConnection, PgPool, Postgres, Row as _, TypeInfo,
    ValueRef,
    pool::PoolConnection,
    postgres::{PgArguments, PgListener, PgPoolOptions, PgRow, PgTransactionManager},
    query::Query,
};
use sqlx_core::transaction::TransactionManager as _;

use super::{
    driver::{Driver, Listener, Param, Session},
    failure::{Failure, FailureKind},
    row::{Row, Value},
    slot::{AnySlot, Lent, Slot},
    tracked::Tracked,
};

pub(super) struct Sqlx {
    pub(super) pool: PgPool,
}

#[async_trait]
impl Driver for Sqlx {
    async fn session(&self) -> Result<Box<dyn Session>, Failure> {
        let connection = self.pool.acquire().await.map_err(|error| Failure {
            kind: FailureKind::NoConnection,
            ..failed(error)
        })?;
        Ok(Box::new(Borrowed(Some(connection))))
    }

    async fn listen(&self, channel: &str) -> Option<Result<Box<dyn Listener>, Failure>> {
        let options = (*self.pool.connect_options()).clone();
        // A pool of its own: what listens keeps its connection.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(channel).await?;
            Ok(Box::new(Listening(listener)) as Box<dyn Listener>)
        };
        Some(listening.await.map_err(failed))
    }
}

/// A connection of the pool's.
struct Borrowed(Option<PoolConnection<Postgres>>);

const THERE: &str = "it is taken out only when this is dropped";

impl Borrowed {
    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect(THERE)
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

#[async_trait]
impl Session for Borrowed {
    async fn query(&mut self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let statement = sqlx::query(AssertSqlSafe(statement.to_owned()));
        let query = params.iter().fold(statement, bind);
        let rows = query.fetch_all(self.connection()).await.map_err(failed)?;
        rows.iter().map(row).collect()
    }

    async fn script(&mut self, script: &str) -> Result<(), Failure> {
        let script = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        script.execute(self.connection()).await.map_err(failed)?;
        Ok(())
    }

    async fn begin(
        &mut self,
        script: &str,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<(Vec<Row>, Vec<Row>), Failure> {
        // By sqlx, which counts it: what the handler begins in turn is a savepoint. What stands for
        // it is of no use: dropped, it would roll back.
        let transaction = self.connection().begin_with("BEGIN").await;
        std::mem::forget(transaction.map_err(failed)?);
        let script = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        let began = script.fetch_all(self.connection()).await.map_err(failed)?;
        let began: Result<_, _> = began.iter().map(text_row).collect();
        Ok((began?, self.query(statement, params).await?))
    }

    async fn commit(
        &mut self,
        script: Option<&str>,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<(), Failure> {
        if let Some(script) = script {
            self.script(script).await?;
        }
        self.query(statement, params).await?;
        let committing = PgTransactionManager::commit(self.connection());
        committing.await.map_err(failed)?;
        if self.connection().is_in_transaction() {
            return Err(Failure::new(
                FailureKind::NotOurs,
                "a transaction that was begun within it has not ended",
            ));
        }
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<(), Failure> {
        if !self.connection().is_in_transaction() {
            // As far as sqlx knows, which sees no statements.
            return self.script("ROLLBACK").await;
        }
        // More than once, where the handler has left one open within.
        while self.connection().is_in_transaction() {
            let rolling_back = PgTransactionManager::rollback(self.connection());
            rolling_back.await.map_err(failed)?;
        }
        Ok(())
    }

    fn give_back(mut self: Box<Self>) {
        drop(self.0.take());
    }

    fn offer(self: Box<Self>, tracked: Tracked) -> Arc<dyn AnySlot> {
        Slot::of(self, tracked)
    }
}

impl Lent<PgConnection> for Borrowed {
    fn connection(&self) -> &PgConnection {
        self.0.as_ref().expect(THERE)
    }

    fn connection_mut(&mut self) -> &mut PgConnection {
        self.connection()
    }

    fn into_session(self: Box<Self>) -> Box<dyn Session> {
        self
    }
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

fn bind<'q>(query: Bound<'q>, param: &Param<'_>) -> Bound<'q> {
    match param {
        Param::Bytes(value) => query.bind(value.to_vec()),
        Param::Int(value) => query.bind(*value),
        Param::Bool(value) => query.bind(*value),
        Param::Text(value) => query.bind((*value).to_owned()),
        Param::ManyBytes(values) => {
            let values: Vec<_> = values.iter().map(|value| value.to_vec()).collect();
            query.bind(values)
        }
        Param::Ints(values) => query.bind(values.to_vec()),
    }
}

fn row(row: &PgRow) -> Result<Row, Failure> {
    let values = row.columns().iter().enumerate().map(|(index, column)| {
        let value = match column.type_info().name() {
            "BOOL" => row.try_get::<Option<_>, _>(index)?.map(Value::Bool),
            "INT8" => row.try_get::<Option<_>, _>(index)?.map(Value::Int),
            "TEXT" => row.try_get::<Option<_>, _>(index)?.map(Value::Text),
            _ => {
                let bytes: Option<Vec<u8>> = row.try_get(index)?;
                bytes.map(|bytes| Value::Bytes(bytes.into()))
            }
        };
        Ok(value.unwrap_or(Value::Null))
    });
    let values: Result<_, sqlx::Error> = values.collect();
    Ok(Row(values.map_err(failed)?))
}

fn text_row(row: &PgRow) -> Result<Row, Failure> {
    let values = (0..row.len()).map(|index| {
        let value = row.try_get_raw(index).map_err(failed)?;
        if value.is_null() {
            return Ok(Value::Null);
        }
        let text = value.as_str().map_err(|_| Failure::foreign())?;
        Ok(Value::Text(text.to_owned()))
    });
    Ok(Row(values.collect::<Result<_, _>>()?))
}

fn failed(error: sqlx::Error) -> Failure {
    let refused = error.as_database_error();
    let code = refused.and_then(sqlx::error::DatabaseError::code);
    if let Some(code) = code.map(std::borrow::Cow::into_owned) {
        return Failure::of_code(&code, error);
    }
    let kind = match error {
        // The last: somebody gave it back within a transaction.
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::InvalidSavePointStatement => FailureKind::Broken,
        _ => FailureKind::Foreign,
    };
    Failure::new(kind, error)
}

struct Listening(PgListener);

#[async_trait]
impl Listener for Listening {
    async fn heard(&mut self) -> Option<String> {
        let message = self.0.try_recv().await.ok()??;
        Some(message.payload().to_owned())
    }

    async fn script(&mut self, script: &str) -> Result<(), Failure> {
        let script = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        script.execute(&mut self.0).await.map_err(failed)?;
        Ok(())
    }
}
