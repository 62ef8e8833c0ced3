//! tokio-postgres, with deadpool.

use std::{error::Error, fmt, future::poll_fn, sync::Arc};

use async_trait::async_trait;
use deadpool_postgres::{
    BuildError, Client, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use futures_util::future::{join, join3};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Config, NoTls, SimpleQueryMessage, Socket,
    tls::{MakeTlsConnect, TlsConnect},
    types::{ToSql, Type},
};

use super::{
    driver::{Driver, Listener, Param, Session},
    failure::{Failure, FailureKind},
    row::{Row, Value},
    slot::{AnySlot, Lent, Slot},
    table::quoted,
    tracked::Tracked,
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
        Ok(Box::new(Borrowed(Some(client))))
    }

    async fn listen(&self, channel: &str) -> Option<Result<Box<dyn Listener>, Failure>> {
        let connector = self.connector.as_ref()?;
        Some(connector.0.listen(channel).await)
    }
}

/// A connection of the pool's.
struct Borrowed(Option<Client>);

impl Borrowed {
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
    async fn prepare(&mut self, statements: &[&str]) -> Result<(), Failure> {
        for statement in statements {
            self.client()
                .prepare_cached(statement)
                .await
                .map_err(failed)?;
        }
        Ok(())
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

/// How to open a connection that listens.
#[derive(Clone)]
pub(super) struct Connecting(Arc<dyn Connector>);

impl Connecting {
    pub(super) fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Arc::new(Server { config, tls }))
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connecting")
    }
}

#[async_trait]
trait Connector: Send + Sync {
    async fn listen(&self, channel: &str) -> Result<Box<dyn Listener>, Failure>;
}

/// A server, and how to speak to it in secret.
struct Server<T> {
    config: Config,
    tls: T,
}

#[async_trait]
impl<T> Connector for Server<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send + Sync + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    async fn listen(&self, channel: &str) -> Result<Box<dyn Listener>, Failure> {
        let connecting = self.config.connect(self.tls.clone());
        let (client, mut connection) = connecting.await.map_err(failed)?;
        let (tell, told) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                let AsyncMessage::Notification(message) = message else {
                    continue;
                };
                if tell.send(message.payload().to_owned()).is_err() {
                    return;
                }
            }
        });
        let listening = Listening { client, told, task };
        let script = format!("LISTEN {}", quoted(channel));
        listening
            .client
            .batch_execute(&script)
            .await
            .map_err(failed)?;
        Ok(Box::new(listening))
    }
}

struct Listening {
    client: tokio_postgres::Client,
    told: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Listener for Listening {
    async fn heard(&mut self) -> Option<String> {
        self.told.recv().await
    }

    async fn script(&mut self, script: &str) -> Result<(), Failure> {
        self.client.batch_execute(script).await.map_err(failed)
    }
}
