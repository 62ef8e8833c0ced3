//! A reply of Redis: anything else than the answer to what was asked is an error, and no panic.
#![no_main]

use std::{sync::Arc, time::Duration};

use arbitrary::Arbitrary;
use bytes::Bytes;
use fuzz::block_on;
use libfuzzer_sys::fuzz_target;
use redis::{Arg, Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};
use tower_idempotency::{
    Effects, Fingerprint, RecordName, RedisStore, Store, UnknownOutcome,
    store::{Claim, OwnerToken, UnsafeSettings},
};

#[derive(Arbitrary, Debug, Clone)]
enum Reply {
    Nil,
    Int(i64),
    Okay,
    Text(String),
    Bulk(Vec<u8>),
    List(Vec<Reply>),
    Double(f64),
    Boolean(bool),
    /// It says whose it is, and then anything.
    Meant(Vec<u8>),
    /// It says that it answers what was asked, and then anything.
    Answer(u8, Vec<u8>),
    /// It holds a record that is this key's.
    Completed(Vec<u8>),
}

impl Reply {
    fn value(&self, who: &[u8]) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Int(number) => Value::Int(*number),
            Self::Okay => Value::Okay,
            Self::Text(text) => Value::SimpleString(text.clone()),
            Self::Bulk(bytes) => Value::BulkString(bytes.clone()),
            Self::List(replies) => {
                Value::Array(replies.iter().map(|reply| reply.value(who)).collect())
            }
            Self::Double(number) => Value::Double(*number),
            Self::Boolean(boolean) => Value::Boolean(*boolean),
            Self::Meant(rest) => Value::BulkString([who, rest].concat()),
            Self::Answer(letter, rest) => {
                let letter = b"cnfrb"[usize::from(*letter) % 5];
                Value::BulkString([who, &[letter], rest].concat())
            }
            Self::Completed(rest) => Value::BulkString([who, b"cc\x01C", who, rest].concat()),
        }
    }
}

#[derive(Clone)]
struct Connection(Arc<Reply>);

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let who = command.args_iter().nth(4).and_then(|arg| match arg {
            Arg::Simple(arg) => Some(arg.to_vec()),
            _ => None,
        });
        let value = self.0.value(&who.unwrap_or_default());
        Box::pin(async { Ok(value) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fuzz_target!(|reply: Reply| {
    block_on(async {
        let builder = RedisStore::builder().unsafe_settings(UnsafeSettings::Ignore);
        let Ok(store) = builder.connect_with(Connection(Arc::new(reply))).await else {
            return;
        };
        let claim = Claim::new(
            RecordName::from_bytes([1; RecordName::LEN]),
            OwnerToken::from_bytes([2; OwnerToken::LEN]),
            Duration::from_secs(10),
            Duration::from_secs(60),
        );
        let fingerprint = Fingerprint::from_bytes([3; Fingerprint::LEN]);
        let _ = store
            .claim(&claim, &fingerprint, UnknownOutcome::Retry)
            .await;
        let _ = store.renew(&claim).await;
        let _ = store
            .complete(&claim, Bytes::from_static(b"record"), Effects::Keep)
            .await;
        let _ = store.release(&claim).await;
        let _ = store.abandon(&claim).await;
    });
});
