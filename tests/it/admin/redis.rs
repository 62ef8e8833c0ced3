//! What is particular about Redis.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tower_idempotency::{
    Admin, RecordName, RedisStore,
    admin::{Force, Forgotten, List, count},
    store::{StoreErrorKind, UnsafeSettings},
};

use crate::support::{
    claims::{acquire, assert_failed, complete, fresh},
    redis::RedisServer,
    redis_store::patient,
};

/// Puts so many records there as a busy service would have, of 423 bytes each.
fn fill(server: &RedisServer, keys: usize) {
    // In the server, since a million commands take longer to send.
    const SCRIPT: &str = "
        local value = '\\1C' .. string.rep('o', 16) .. string.rep('r', 423)
        for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
          redis.call('SET', 'idem:' .. string.format('%024d', number), value, 'PX', 86400000)
        end";
    for first in (0..keys).step_by(10_000) {
        let last = (first + 9_999).min(keys - 1);
        let (first, last) = (first.to_string(), last.to_string());
        server.command(&["EVAL", SCRIPT, "0", &first, &last]);
    }
}

/// Sends one PING after the other on a connection of its own, and returns how long the longest took.
struct Pinging {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<Duration>>,
}

impl Pinging {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut times, mut answer) = (Vec::new(), [0; 7]);
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                stream.write_all(b"PING\r\n").unwrap();
                stream.read_exact(&mut answer).unwrap();
                times.push(start.elapsed());
            }
            times.sort();
            times
        });
        Self { stop, thread }
    }

    /// Returns the longest, and what one in a thousand exceeds.
    fn stop(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let times = self.thread.join().unwrap();
        (
            times[times.len() - 1],
            times[times.len() - 1 - times.len() / 1000],
        )
    }
}

/// Lists many keys while others use the server, and prints what that cost them.
async fn list_many(keys: usize) {
    let server = RedisServer::start();
    fill(&server, keys);
    let store = with_prefix(&server, "idem:").await;
    let before = Pinging::start(server.port);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (quiet, quiet_mostly) = before.stop();
    server.command(&["CONFIG", "RESETSTAT"]);

    let pinging = Pinging::start(server.port);
    let (start, mut listed, mut pages, mut longest) = (Instant::now(), 0, 0, 0);
    let mut list = List::new().at_once(List::MAX_AT_ONCE);
    loop {
        let page = store.list(&list).await.unwrap();
        listed += page.entries.len();
        pages += 1;
        longest = longest.max(page.entries.len());
        match page.next {
            Some(next) => list = list.after(next),
            None => break,
        }
    }
    let took = start.elapsed();
    let (busy, busy_mostly) = pinging.stop();
    let call = micros_a_call(&server);
    println!(
        "{keys} keys listed in {:.1} s, on {pages} pages of {longest} at most; a page takes the server \
         {call} us; the longest PING took {busy:?} (one in a thousand over {busy_mostly:?}), and {quiet:?} \
         (over {quiet_mostly:?}) in the second before",
        took.as_secs_f64(),
    );
    // SCAN may tell of a key twice.
    assert!(
        (keys..keys + keys / 10 + 100).contains(&listed),
        "{listed} of {keys} were listed"
    );
    assert!(longest < 1000, "a page of {longest}");
    assert!(call < 3000, "a page takes the server {call} us");
    assert!(busy < Duration::from_millis(500), "a PING took {busy:?}");
}

/// How long a script takes the server on average.
fn micros_a_call(server: &RedisServer) -> u64 {
    let stats = server.lines(&["INFO", "commandstats"]);
    let scripts = stats
        .iter()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let per_call = scripts.unwrap().split("usec_per_call=").nth(1).unwrap();
    let whole = per_call.split('.').next().unwrap();
    whole.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_keys_are_listed_without_blocking_the_server() {
    list_many(50_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: lists a million keys, and says what that costs others"]
async fn a_million_keys_are_listed_without_blocking_the_server() {
    list_many(1_000_000).await;
}

async fn with_prefix(server: &RedisServer, prefix: &str) -> RedisStore {
    let builder = patient().prefix(prefix);
    builder.connect(&server.url()).await.unwrap()
}

#[tokio::test]
async fn what_is_not_the_stores_is_passed_over_counted_and_removed_by_force_alone() {
    let server = RedisServer::start();
    let store = with_prefix(&server, "idem:").await;
    let claim = fresh();
    acquire(&store, &claim).await.unwrap();
    let foreign = RecordName::from_bytes([0; RecordName::LEN]);
    let key = format!("idem:{}", "A".repeat(24));
    // Shorter ones are others': they are not even ours to count.
    server.command(&["SET", "idem:wait", "1"]);
    for set in [
        vec!["SET", &key, "something"],
        vec!["SET", &key, "\u{1}Pshort"],
        vec!["LPUSH", &key, "a", "list"],
    ] {
        server.command(&set);
        let page = store.list(&List::new()).await.unwrap();
        assert_eq!((page.entries.len(), page.unreadable), (1, 1), "{set:?}");
        assert_eq!(page.entries[0].name, *claim.name());
        let counts = tower_idempotency::admin::count(&store).await.unwrap();
        assert_eq!((counts.in_flight, counts.unreadable), (1, 1), "{set:?}");
        assert_failed(store.find(&foreign).await, StoreErrorKind::Corrupt);
        assert_failed(store.record(&foreign).await, StoreErrorKind::Corrupt);
        assert_failed(
            store.forget(&foreign, Force::No).await,
            StoreErrorKind::Corrupt,
        );
        let forgotten = store.forget(&foreign, Force::Yes).await.unwrap();
        assert_eq!(forgotten, Forgotten::Forgotten);
        assert_eq!(store.find(&foreign).await.unwrap(), None);
    }
    // A claim, and a byte more.
    server.command(&["DEL", "idem:wait"]);
    let keys = server.lines(&["KEYS", "idem:*"]);
    server.command(&["APPEND", &keys[0], "x"]);
    let page = store.list(&List::new()).await.unwrap();
    assert_eq!((page.entries.len(), page.unreadable), (0, 1));
}

#[tokio::test]
async fn a_record_is_as_long_as_it_was_given() {
    let server = RedisServer::start();
    let store = with_prefix(&server, "idem:").await;
    let claim = fresh();
    complete(&store, &claim, b"twelve bytes").await.unwrap();
    assert_eq!(store.find(claim.name()).await.unwrap().unwrap().bytes, 12);
}

#[tokio::test]
async fn a_store_lists_its_own_prefix_and_no_other() {
    let server = RedisServer::start();
    for prefix in ["idem:", "i?em:", "*", "[a-z]dem:", "a\\b:", "", "{tag}:"] {
        let (store, other) = (
            with_prefix(&server, prefix).await,
            with_prefix(&server, "xdem:").await,
        );
        for _ in 0..3 {
            complete(&store, &fresh(), b"r").await.unwrap();
            complete(&other, &fresh(), b"r").await.unwrap();
        }
        let counts = count(&store).await.unwrap();
        assert_eq!((counts.completed, counts.unreadable), (3, 0), "{prefix}");
        server.command(&["FLUSHALL"]);
    }
}

#[tokio::test]
async fn a_replica_tells_operators_nothing_old() {
    let master = RedisServer::start();
    let of = format!("127.0.0.1 {}", master.port);
    let replica = RedisServer::with(&["--replicaof", &of]);
    let builder = RedisStore::builder().unsafe_settings(UnsafeSettings::Ignore);
    let store = builder.connect(&replica.url()).await.unwrap();
    let name = fresh();
    assert!(store.list(&List::new()).await.is_err());
    assert!(store.find(name.name()).await.is_err());
    assert!(store.forget(name.name(), Force::Yes).await.is_err());
}

#[cfg(feature = "testing")]
mod cluster {
    use super::*;
    use crate::redis::cluster::three;
    use tower_idempotency::testing::{Capabilities, admin_conformance};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cluster_may_be_looked_into_and_mended_on_every_node() {
        let nodes = three().await;
        let connect = async |prefix: &str| {
            let urls = nodes.iter().map(RedisServer::url);
            let builder = patient().prefix(prefix);
            builder.connect_cluster(urls).await.unwrap()
        };
        admin_conformance(|| connect("idem:"), Capabilities::durable())
            .await
            .unwrap();
        for prefix in ["many:", "{one}:", "{one", "}{", "{}:"] {
            let store = connect(prefix).await;
            for _ in 0..100 {
                complete(&store, &fresh(), b"r").await.unwrap();
            }
            let counts = count(&store).await.unwrap();
            assert_eq!(counts.completed, 100, "{prefix}");
        }
    }
}
