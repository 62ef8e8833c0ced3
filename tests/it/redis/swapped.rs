use std::{
    error::Error as _,
    sync::{Arc, Mutex},
};

use redis::{
    Cmd, Pipeline, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::sync::oneshot;
use tower_idempotency::{
    Effects, Store,
    store::{Claim, StoreError, StoreErrorKind, UnsafeSettings},
};

use super::claims::{acquire, assert_acquired, assert_failed, complete, fresh, rival};
use crate::support::{redis::RedisServer, redis_store::patient};

/// A connection that gives each of two callers the other's answer.
#[derive(Clone)]
struct Swapping {
    inner: MultiplexedConnection,
    first: Arc<Mutex<Option<Waiting>>>,
}

/// Takes the answer of the second, and returns that of the first.
type Waiting = oneshot::Sender<(Value, oneshot::Sender<Value>)>;

impl ConnectionLike for Swapping {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let answer = self.inner.req_packed_command(command).await?;
            let first = self.first.lock().unwrap().take();
            if let Some(first) = first {
                let (give, get) = oneshot::channel();
                first.send((answer, give)).unwrap();
                return Ok(get.await.unwrap());
            }
            let (give, get) = oneshot::channel();
            *self.first.lock().unwrap() = Some(give);
            let (theirs, theirs_too) = get.await.unwrap();
            theirs_too.send(answer).unwrap();
            Ok(theirs)
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.inner.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

fn corrupt<T: std::fmt::Debug>(results: [Result<T, StoreError>; 2]) {
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        let why = error.source().unwrap().to_string();
        assert_eq!(why, "the server's answer belongs to another call");
    }
}

#[tokio::test]
async fn swapped_answers_are_nobodys() {
    let server = RedisServer::start();
    let honest = patient().connect(&server.url()).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let swapping = Swapping {
        inner: client.get_multiplexed_async_connection().await.unwrap(),
        first: Arc::default(),
    };
    let builder = patient().unsafe_settings(UnsafeSettings::Ignore);
    let store = &builder.connect_with(swapping).await.unwrap();
    // Teaches the server the scripts, so that none of them is asked for twice.
    let taught = fresh();
    assert_acquired(acquire(&honest, &taught).await, 1);
    honest.renew(&taught).await.unwrap();
    complete(&honest, &taught, b"r").await.unwrap();
    honest.release(&taught).await.unwrap();
    honest.abandon(&taught).await.unwrap();

    let (one, two) = (fresh(), fresh());
    let both = |one: Claim, two: Claim| async move {
        tokio::join!(acquire(store, &one), acquire(store, &two)).into()
    };
    // Both new, both held by others, both completed; then two of one key.
    corrupt(both(one, two).await);
    corrupt(both(rival(&one), rival(&two)).await);
    corrupt(tokio::join!(store.renew(&one), store.renew(&two)).into());
    let kept = |claim| async move { store.complete(claim, "r".into(), Effects::Keep).await };
    corrupt(tokio::join!(kept(&one), kept(&two)).into());
    corrupt(both(rival(&one), rival(&two)).await);
    corrupt(tokio::join!(store.release(&one), store.release(&two)).into());
    corrupt(tokio::join!(store.abandon(&one), store.abandon(&two)).into());
    let contested = fresh();
    corrupt(both(contested, rival(&contested)).await);

    // Two operations of one owner.
    let (renewed, released) = tokio::join!(store.renew(&contested), store.release(&contested));
    assert_failed(renewed, StoreErrorKind::Corrupt);
    assert_failed(released, StoreErrorKind::Corrupt);
}
