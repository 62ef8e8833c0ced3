//! The connection on which changes are heard of.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::Stream;
use redis::{
    PushInfo, PushKind, RedisResult, Value,
    aio::{PubSubSink, PubSubStream, SendError},
    cluster_async::ClusterConnection,
};
use tokio::sync::{mpsc, oneshot};

use super::{connector::Connector, key::Key};
use crate::runtime::{self, Instant};
use crate::store::keys::Keys;

/// Listens for changes of keys, on one connection for all of them.
pub(super) struct Ear {
    source: Source,
    keys: Arc<Keys<Key>>,
    orders: Mutex<mpsc::UnboundedSender<Order>>,
}

/// Where changes are heard of.
#[derive(Clone)]
pub(super) enum Source {
    /// On a connection of its own.
    Server(Arc<Connector>),
    /// On the connection of all operations, which hands messages over by itself.
    Cluster(ClusterConnection, Duration),
}

enum Order {
    Listen(Key, oneshot::Sender<()>),
    Forget(Key),
}

/// A key that is listened to until this is dropped.
pub(super) struct Listening {
    orders: mpsc::UnboundedSender<Order>,
    key: Key,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Whoever is gone listens to nothing.
        let _ = self.orders.send(Order::Forget(self.key.clone()));
    }
}

impl Ear {
    pub(super) fn new(source: Source, keys: Arc<Keys<Key>>) -> Self {
        // Nobody is at the other end yet: no task runs while nobody waits.
        let (orders, _) = mpsc::unbounded_channel();
        Self {
            source,
            keys,
            orders: Mutex::new(orders),
        }
    }

    /// Listens to a key; none where the server does not let us.
    pub(super) async fn listen(&self, key: &Key) -> Option<Listening> {
        let orders = self.orders();
        let (sender, confirmed) = oneshot::channel();
        orders.send(Order::Listen(key.clone(), sender)).ok()?;
        // Forgets the key also if it is dropped meanwhile.
        let listening = Listening {
            orders,
            key: key.clone(),
        };
        confirmed.await.ok()?;
        Some(listening)
    }

    fn orders(&self) -> mpsc::UnboundedSender<Order> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.is_closed() {
            let (sender, receiver) = mpsc::unbounded_channel();
            *orders = sender;
            let listener = Listener {
                source: self.source.clone(),
                keys: Arc::clone(&self.keys),
                orders: receiver,
                listened: HashMap::new(),
            };
            tokio::spawn(listener.run());
        }
        orders.clone()
    }
}

/// The task that listens. It alone subscribes, so that nothing overtakes anything.
struct Listener {
    source: Source,
    keys: Arc<Keys<Key>>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// How many watchers each key has; one that goes may meet the next that comes.
    listened: HashMap<Key, usize>,
}

/// A way to the server, until it breaks.
enum Line {
    PubSub(PubSubSink, PubSubStream, Duration),
    Cluster(ClusterConnection, Duration),
}

/// What there is to do after some orders.
#[derive(Default)]
struct Change {
    listen: Vec<Key>,
    forget: Vec<Key>,
    heard: Vec<oneshot::Sender<()>>,
}

/// Why a line is no longer served.
#[derive(PartialEq, Eq)]
enum End {
    Broken,
    /// Nobody is left to give orders.
    Closed,
}

/// How often a line is looked after on which nothing is heard.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How many orders are carried out at once.
const AT_ONCE: usize = 256;

impl Listener {
    async fn run(mut self) {
        const FIRST_PAUSE: Duration = Duration::from_millis(100);
        const LONGEST_PAUSE: Duration = Duration::from_secs(10);
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(line) = self.source.connect().await {
                let connected = Instant::now();
                if self.serve(line).await == End::Closed {
                    return;
                }
                // One that breaks at once is no better than none.
                if connected.elapsed() > pause {
                    pause = FIRST_PAUSE;
                }
            }
            if self.refuse(runtime::jittered(pause)).await == End::Closed {
                return;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Tells whoever orders that nothing is heard at the moment.
    async fn refuse(&mut self, pause: Duration) -> End {
        let over = Instant::now() + pause;
        loop {
            match runtime::timeout_at(over, self.orders.recv()).await {
                Ok(Some(order)) => drop(self.gather(order)),
                Ok(None) => return End::Closed,
                Err(_) => return End::Broken,
            }
        }
    }

    async fn serve(&mut self, mut line: Line) -> End {
        if !self.listened.is_empty() {
            let listened = self.listened.keys().cloned().collect();
            if !line.listen(listened).await {
                return End::Broken;
            }
            self.keys.look_at_all();
        }
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    let Some(order) = order else {
                        return End::Closed;
                    };
                    let change = self.gather(order);
                    if !line.listen(change.listen).await || !line.forget(change.forget).await {
                        return End::Broken;
                    }
                    for heard in change.heard {
                        // Who asked may be gone.
                        let _ = heard.send(());
                    }
                }
                channel = line.heard() => {
                    let Some(channel) = channel else {
                        return End::Broken;
                    };
                    self.keys.wake(&channel[..]);
                }
                () = runtime::sleep(PING_EVERY) => {
                    if !line.is_alive().await {
                        return End::Broken;
                    }
                }
            }
        }
    }

    /// Takes an order and what follows it, and tells what that comes to.
    fn gather(&mut self, first: Order) -> Change {
        let mut before = HashMap::new();
        let mut heard = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            let (Order::Listen(key, _) | Order::Forget(key)) = &order;
            let watchers = self.listened.entry(key.clone()).or_default();
            before.entry(key.clone()).or_insert(*watchers);
            match order {
                Order::Listen(_, sender) => {
                    *watchers += 1;
                    heard.push(sender);
                }
                Order::Forget(_) => *watchers -= 1,
            }
            next = (heard.len() < AT_ONCE)
                .then(|| self.orders.try_recv().ok())
                .flatten();
        }
        let mut change = Change {
            heard,
            ..Change::default()
        };
        for (key, before) in before {
            let now = self.listened[&key];
            if now == 0 {
                self.listened.remove(&key);
            }
            if before == 0 && now > 0 {
                change.listen.push(key);
            } else if before > 0 && now == 0 {
                change.forget.push(key);
            }
        }
        change
    }
}

impl Source {
    async fn connect(&self) -> RedisResult<Line> {
        match self {
            Self::Server(connector) => {
                let pubsub = async { connector.client().await?.get_async_pubsub().await };
                let (sink, stream) = connector.in_time(pubsub).await?.split();
                Ok(Line::PubSub(sink, stream, connector.patience()))
            }
            Self::Cluster(connection, patience) => Ok(Line::Cluster(connection.clone(), *patience)),
        }
    }
}

impl Line {
    async fn listen(&mut self, keys: Vec<Key>) -> bool {
        self.order(keys, true).await
    }

    async fn forget(&mut self, keys: Vec<Key>) -> bool {
        self.order(keys, false).await
    }

    /// Returns whether all went well.
    async fn order(&mut self, keys: Vec<Key>, listen: bool) -> bool {
        if keys.is_empty() {
            return true;
        }
        let channels: Vec<_> = keys.iter().map(Key::as_bytes).collect();
        match self {
            Self::PubSub(sink, _, patience) => {
                let ordered = async {
                    if listen {
                        sink.subscribe(&channels).await
                    } else {
                        sink.unsubscribe(&channels).await
                    }
                };
                matches!(runtime::timeout(*patience, ordered).await, Ok(Ok(())))
            }
            // Each of its channels may belong to another node.
            Self::Cluster(connection, patience) => {
                let ordered = async {
                    for channel in channels {
                        if listen {
                            connection.ssubscribe(channel).await?;
                        } else {
                            connection.sunsubscribe(channel).await?;
                        }
                    }
                    RedisResult::Ok(())
                };
                matches!(runtime::timeout(*patience, ordered).await, Ok(Ok(())))
            }
        }
    }

    /// Returns the next channel on which something is said; none when the line is broken.
    async fn heard(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::PubSub(_, stream, _) => {
                let message = poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await?;
                Some(message.get_channel_name().as_bytes().to_vec())
            }
            Self::Cluster(..) => std::future::pending().await,
        }
    }

    async fn is_alive(&mut self) -> bool {
        match self {
            Self::PubSub(sink, _, patience) => {
                let ping = sink.ping::<Value>();
                matches!(runtime::timeout(*patience, ping).await, Ok(Ok(_)))
            }
            Self::Cluster(..) => true,
        }
    }
}

/// Makes what a cluster's connection calls with each message.
pub(super) fn hand_over(
    keys: Arc<Keys<Key>>,
) -> impl Fn(PushInfo) -> Result<(), SendError> + Send + Sync + 'static {
    move |push| {
        match (push.kind, push.data.first()) {
            (PushKind::SMessage, Some(Value::BulkString(channel))) => keys.wake(&channel[..]),
            (PushKind::Disconnection, _) => keys.look_at_all(),
            _ => {}
        }
        Ok(())
    }
}
