use redis::{
    Arg, Cmd, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tower_idempotency::{
    RedisStore,
    store::{ConnectErrorKind, UnsafeSettings},
};

use super::claims::{acquire, assert_acquired, fresh};
use crate::support::redis::{RedisServer, free_port};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// What a server is started with, what is said about it, and whether it is refused.
const SERVERS: [(&[&str], &[&str], bool); 6] = [
    (&[], &[], false),
    (
        &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
        &["maxmemory-policy is allkeys-lru"],
        true,
    ),
    (
        &["--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"],
        &["maxmemory-policy is volatile-ttl"],
        true,
    ),
    // Nothing is evicted below a bound, and without a bound nothing at all.
    (&["--maxmemory", "100mb"], &[], false),
    (&["--maxmemory-policy", "allkeys-lru"], &[], false),
    (
        &["--appendfsync", "everysec"],
        &["appendfsync is not always"],
        false,
    ),
];

#[tokio::test]
async fn settings_that_lose_keys_are_refused_or_told() {
    for (args, expected, refused) in SERVERS {
        let server = RedisServer::with(&[&DURABLE, args].concat());
        let url = server.url();
        let asked = |what| RedisStore::builder().unsafe_settings(what);

        match asked(UnsafeSettings::Refuse).connect(&url).await {
            Ok(store) => {
                assert!(!refused, "{args:?}");
                assert_told(store.warnings(), expected, args);
            }
            Err(error) => {
                assert!(refused, "{args:?}: {error}");
                assert_eq!(error.kind(), ConnectErrorKind::Unsafe);
                assert_told(&[error.to_string()], expected, args);
            }
        }
        let warned = asked(UnsafeSettings::Warn).connect(&url).await.unwrap();
        assert_told(warned.warnings(), expected, args);
        let ignored = asked(UnsafeSettings::Ignore).connect(&url).await.unwrap();
        assert!(ignored.warnings().is_empty());
        assert_acquired(acquire(&ignored, &fresh()).await, 1);
    }
}

#[track_caller]
fn assert_told(lines: &[String], expected: &[&str], server: &[&str]) {
    assert_eq!(lines.len(), expected.len(), "{server:?}: {lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{server:?}: {line}");
        assert!(
            line.contains("set ") || line.contains("connect to"),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_nothing_on_disk_is_told_in_one_line() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert_told(store.warnings(), &["appendonly is no"], &[]);
}

#[tokio::test]
async fn a_replica_is_refused() {
    let master = RedisServer::durable();
    let of = format!("127.0.0.1 {}", master.port);
    let replica = RedisServer::with(&[&DURABLE[..], &["--replicaof", &of]].concat());
    let error = RedisStore::connect(&replica.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unsafe);
    assert!(error.to_string().starts_with("the server is a replica"));
}

#[tokio::test]
async fn what_the_server_does_not_tell_is_said() {
    let server = RedisServer::durable();
    let closed = [
        (
            "-config",
            "CONFIG is forbidden: appendfsync could not be checked",
        ),
        ("-info", "INFO is forbidden: whether the server evicts"),
    ];
    for (number, (command, expected)) in closed.into_iter().enumerate() {
        let user = format!("user{number}");
        server.command(&[
            "ACL", "SETUSER", &user, "on", ">secret", "~*", "&*", "+@all", command,
        ]);
        let url = format!("redis://{user}:secret@127.0.0.1:{}", server.port);
        let store = RedisStore::connect(&url).await.unwrap();
        let [told] = store.warnings() else {
            panic!("{:?}", store.warnings());
        };
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_its_password_a_secret() {
    let url = format!("redis://:hunter2@127.0.0.1:{}", free_port());
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );

    let server = RedisServer::with(&["--requirepass", "right"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port);
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );

    let error = RedisStore::connect("nonsense").await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Invalid);
}

#[tokio::test]
async fn a_store_shows_its_server_and_not_its_password() {
    let server = RedisServer::with(&["--requirepass", "hunter2", "--appendonly", "yes"]);
    let address = format!("127.0.0.1:{}", server.port);
    let builder = RedisStore::builder().prefix("shop:");
    let url = format!("redis://:hunter2@{address}");
    let store = builder.connect(&url).await.unwrap();
    let shown = format!("{store:?}");
    assert!(shown.starts_with("RedisStore {"), "{shown}");
    assert!(
        shown.contains(&address) && shown.contains("shop:"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// A connection on which one command fails.
#[derive(Clone)]
struct Failing {
    inner: MultiplexedConnection,
    command: &'static str,
    with: fn() -> RedisError,
}

impl ConnectionLike for Failing {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let name = self.command.as_bytes();
        let is_it = matches!(command.args_iter().next(), Some(Arg::Simple(arg)) if arg == name);
        if is_it {
            return Box::pin(std::future::ready(Err((self.with)())));
        }
        self.inner.req_packed_command(command)
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

#[tokio::test]
async fn settings_that_could_not_be_asked_for_are_not_taken_for_untold() {
    let server = RedisServer::durable();
    let client = redis::Client::open(server.url()).unwrap();
    let inner = client.get_multiplexed_async_connection().await.unwrap();
    let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe).into();
    let strange = || (redis::ErrorKind::UnexpectedReturnType, "strange").into();
    for command in ["INFO", "CONFIG"] {
        for with in [broken as fn() -> RedisError, strange] {
            let failing = Failing {
                inner: inner.clone(),
                command,
                with,
            };
            let error = RedisStore::builder()
                .connect_with(failing)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ConnectErrorKind::Unreachable, "{command}");
        }
    }
}

#[tokio::test]
async fn a_server_without_config_is_told_of() {
    let renamed = [
        "--rename-command",
        "CONFIG",
        "hidden",
        "--appendonly",
        "yes",
    ];
    let server = RedisServer::with(&renamed);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let [told] = store.warnings() else {
        panic!("{:?}", store.warnings());
    };
    assert!(told.starts_with("CONFIG is forbidden"), "{told}");
}
