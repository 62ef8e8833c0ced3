use std::{fmt, future::poll_fn, sync::Arc};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_postgres::{
    AsyncMessage, Config, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{failed, listening::Listening};
use crate::store::postgres::{driver::Listener, failure::Failure, table::quoted};

/// How to open a connection that listens.
#[derive(Clone)]
pub(in crate::store::postgres) struct Connecting(Arc<dyn Connector>);

impl Connecting {
    pub(in crate::store::postgres) fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Arc::new(Server { config, tls }))
    }

    pub(super) async fn listen(&self, channel: &str) -> Result<Box<dyn Listener>, Failure> {
        self.0.listen(channel).await
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
        let mut listening = Listening::new(client, told, task);
        let script = format!("LISTEN {}", quoted(channel));
        listening.script(&script).await?;
        Ok(Box::new(listening))
    }
}
