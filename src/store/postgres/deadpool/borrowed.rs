use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::{Client, Object};
use futures_util::future::{join, join3};
use tokio_postgres::{
    SimpleQueryMessage,
    types::{ToSql, Type},
};

use super::failed;
use crate::store::postgres::{
    driver::{Param, Session},
    failure::Failure,
    row::{Row, Value},
    slot::{AnySlot, Lent, Slot},
    tracked::Tracked,
};

/// A connection of the pool's.
pub(super) struct Borrowed(Option<Client>);

impl Borrowed {
    pub(super) fn new(client: Client) -> Self {
        Self(Some(client))
    }

    fn client(&self) -> &Client {
        self.0
            .as_ref()
            .expect("it is taken out only when this is dropped")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            // Ends the task that owns the socket.
            drop(Object::take(client));
        }
    }
}

#[async_trait]
impl Session for Borrowed {
    async fn prepare(&mut self, statement: &str) -> Result<(), Failure> {
        let prepared = self.client().prepare_cached(statement).await;
        prepared.map(drop).map_err(failed)
    }

    async fn query(&mut self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        query(self.client(), statement, params).await
    }

    async fn script(&mut self, script: &str) -> Result<(), Failure> {
        self.client().batch_execute(script).await.map_err(failed)
    }

    async fn begin(
        &mut self,
        script: &str,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<(Vec<Row>, Vec<Row>), Failure> {
        let client = self.client();
        client.prepare_cached(statement).await.map_err(failed)?;
        let script = format!("BEGIN; {script}");
        // Sent together.
        let (began, found) = join(
            client.simple_query(&script),
            query(client, statement, params),
        )
        .await;
        let rows = began.map_err(failed)?.into_iter().filter_map(text_row);
        Ok((rows.collect(), found?))
    }

    async fn commit(
        &mut self,
        script: Option<&str>,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<(), Failure> {
        let client = self.client();
        // It is: what had to be prepared now would come after COMMIT.
        client.prepare_cached(statement).await.map_err(failed)?;
        let script = async {
            match script {
                Some(script) => client.batch_execute(script).await.map_err(failed),
                None => Ok(()),
            }
        };
        // Sent together: in a transaction that failed, COMMIT rolls back.
        let (undone, kept, committed) = join3(
            script,
            query(client, statement, params),
            client.batch_execute("COMMIT"),
        )
        .await;
        undone?;
        kept?;
        committed.map_err(failed)
    }

    async fn roll_back(&mut self) -> Result<(), Failure> {
        self.script("ROLLBACK").await
    }

    fn give_back(mut self: Box<Self>) {
        drop(self.0.take());
    }

    fn offer(self: Box<Self>, tracked: Tracked) -> Arc<dyn AnySlot> {
        Slot::of(self, tracked)
    }
}

impl Lent<Client> for Borrowed {
    fn connection(&self) -> &Client {
        self.client()
    }

    #[cfg(feature = "sqlx")]
    fn connection_mut(&mut self) -> &mut Client {
        self.0
            .as_mut()
            .expect("it is taken out only when this is dropped")
    }

    fn into_session(self: Box<Self>) -> Box<dyn Session> {
        self
    }
}

async fn query(
    client: &Client,
    statement: &str,
    params: &[Param<'_>],
) -> Result<Vec<Row>, Failure> {
    let statement = client.prepare_cached(statement).await.map_err(failed)?;
    let params: Vec<_> = params.iter().map(to_sql).collect();
    let rows = client.query(&statement, &params).await.map_err(failed)?;
    rows.iter().map(row).collect()
}

fn to_sql<'a>(param: &'a Param<'_>) -> &'a (dyn ToSql + Sync) {
    match param {
        Param::Bytes(value) => value,
        Param::Int(value) => value,
        Param::Bool(value) => value,
        Param::Text(value) => value,
        Param::ManyBytes(value) => value,
        Param::Ints(value) => value,
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, Failure> {
    let values = row.columns().iter().enumerate().map(|(index, column)| {
        let value = match *column.type_() {
            Type::BOOL => row.try_get::<_, Option<_>>(index)?.map(Value::Bool),
            Type::INT8 => row.try_get::<_, Option<_>>(index)?.map(Value::Int),
            Type::TEXT => row.try_get::<_, Option<_>>(index)?.map(Value::Text),
            _ => {
                let bytes: Option<Vec<u8>> = row.try_get(index)?;
                bytes.map(|bytes| Value::Bytes(bytes.into()))
            }
        };
        Ok(value.unwrap_or(Value::Null))
    });
    let values: Result<_, tokio_postgres::Error> = values.collect();
    Ok(Row(values.map_err(failed)?))
}

fn text_row(message: SimpleQueryMessage) -> Option<Row> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let values = (0..row.len()).map(|index| {
        let text = row.get(index);
        text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
    });
    Some(Row(values.collect()))
}
