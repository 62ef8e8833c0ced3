use std::{fmt, sync::Arc, time::Duration};

use redis::{
    Cmd, ErrorKind, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::ConnectionLike,
};

use super::{connector::is_broken, link::Link, replicas::Replicas, script::Call};
use crate::{
    runtime::{self, Instant},
    store::{StoreError, StoreErrorKind},
};

/// Whoever answers: one server, or a connection that finds its servers by itself.
pub(super) enum Server {
    One(Link),
    Many(Box<dyn Shared>),
}

/// An answer, and what tells whether replicas have what was written for it, where that is asked.
pub(super) type Answered = (Value, Option<Arc<Replicas>>);

/// A connection that many use at once.
pub(super) trait Shared: Send + Sync {
    fn send<'a>(&self, command: &'a Cmd) -> RedisFuture<'a, Value>;
}

impl<C> Shared for C
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    fn send<'a>(&self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let mut connection = self.clone();
        Box::pin(async move { connection.req_packed_command(command).await })
    }
}

impl Server {
    /// Calls a script, and once more where its answer was lost: none minds that.
    pub(super) async fn call(
        &self,
        call: &Call,
        deadline: Duration,
    ) -> Result<Answered, StoreError> {
        let until = Instant::now() + deadline;
        let mut answer = self.call_once(call, until).await;
        let broke = |error: &RedisError| is_broken(error) && !error.is_timeout();
        if answer.as_ref().is_err_and(broke) {
            answer = self.call_once(call, until).await;
        }
        answer.map_err(failed)
    }

    async fn call_once(&self, call: &Call, until: Instant) -> RedisResult<Answered> {
        let is_ours = |answer: &Value| call.is_answered_by(answer);
        match self.exchange(call.by_hash(), until, is_ours).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.exchange(&call.with_code(), until, is_ours).await
            }
            answer => answer,
        }
    }

    /// Sends one command, and waits for its answer no longer than this.
    pub(super) async fn send(&self, command: &Cmd, until: Instant) -> RedisResult<Value> {
        let (answer, _) = self.exchange(command, until, |_| true).await?;
        Ok(answer)
    }

    async fn exchange(
        &self,
        command: &Cmd,
        until: Instant,
        is_ours: impl Fn(&Value) -> bool,
    ) -> RedisResult<Answered> {
        let link = match self {
            Self::One(link) => link,
            Self::Many(connection) => {
                let answer = runtime::timeout_at(until, connection.send(command)).await;
                let answer = answer.unwrap_or_else(|_| Err(late()))?;
                return Ok((answer.extract_error()?, None));
            }
        };
        let connected = link.connected(until).await?;
        let mut connection = connected.connection.clone();
        let sent = connection.send_packed_command(command);
        let Ok(answer) = runtime::timeout_at(until, sent).await else {
            link.suspect();
            return Err(late());
        };
        let answer = answer.and_then(Value::extract_error);
        match &answer {
            Err(error) if is_broken(error) || is_demoted(error) => link.lose(&connected),
            // Whoever asks next would get somebody else's answer too.
            Ok(answer) if !is_ours(answer) => link.lose(&connected),
            _ => link.answered(),
        }
        Ok((answer?, connected.replicas.clone()))
    }
}

fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// A server that has become a replica is left for the one that was made master.
fn is_demoted(error: &RedisError) -> bool {
    code(error) == Some("READONLY")
}

/// Returns the word that says what went wrong. Redis 6.2 tells where in the script first.
fn code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    if !code.starts_with("@user_script") {
        return Some(code);
    }
    let (_, message) = error.detail()?.split_once('-')?;
    message.split(' ').next()
}

pub(super) fn failed(error: RedisError) -> StoreError {
    let kind = match code(&error) {
        Some("OOM") => StoreErrorKind::Full,
        Some("WRONGTYPE") => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, error)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(link) => link.fmt(f),
            Self::Many(_) => f.write_str("a connection of the user's, or to a cluster"),
        }
    }
}
