//! What the store in Redis costs, beside a PING on a connection like its own.
//!
//! ```sh
//! cargo bench --features redis --bench redis                          # starts a redis-server
//! cargo bench --features redis --bench redis -- redis://127.0.0.1:6379
//! ```
//!
//! Keys run out after a minute.

#[allow(dead_code, reason = "it has other kinds of bounds too")]
#[path = "common/figure.rs"]
mod figure;

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use redis::{aio::MultiplexedConnection, cmd};
use tower_idempotency::{
    Effects, Fingerprint, RecordName, RedisStore, Store, UnknownOutcome,
    store::{Claim, Claimed, OwnerToken, UnsafeSettings},
};
use uuid::Uuid;

use self::figure::Figure;

/// The length of the record of a JSON response of 300 bytes.
const RECORD: usize = 423;
const ROUNDS: usize = 60;
const CALLS: usize = 200;
const CALLERS: usize = 64;
const KEYS: usize = 100_000;

fn main() {
    let given = env::args().skip(1).find(|arg| arg.starts_with("redis"));
    let server = given.is_none().then(Server::start);
    let url = given.unwrap_or_else(|| server.as_ref().expect("started").url());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bench = Bench::connect(&url).await;
        bench.latency().await;
        bench.throughput().await;
        bench.memory().await;
    });
}

struct Bench {
    store: RedisStore,
    pinging: MultiplexedConnection,
}

impl Bench {
    async fn connect(url: &str) -> Self {
        let builder = RedisStore::builder().unsafe_settings(UnsafeSettings::Ignore);
        let store = builder.connect(url).await.expect("a server");
        let info = redis::IntoConnectionInfo::into_connection_info(url).expect("a URL");
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let client = redis::Client::open(info.set_tcp_settings(tcp)).expect("a client");
        let pinging = client
            .get_multiplexed_async_connection()
            .await
            .expect("a server");
        Self { store, pinging }
    }

    /// One caller. The kinds take turns, so that what disturbs one disturbs all.
    async fn latency(&self) {
        let replayed = self.recorded().await;
        let mut ratios: [Vec<f64>; 3] = Default::default();
        let mut pings = Vec::new();
        for _ in 0..ROUNDS {
            let ping = per_call(async || self.ping().await).await;
            let replay = per_call(async || self.replay(&replayed).await).await;
            let first = per_call(async || self.first().await).await;
            let script = per_call(async || self.empty_script().await).await;
            pings.push(ping);
            for (ratios, time) in ratios.iter_mut().zip([replay, first, script]) {
                ratios.push(time / ping);
            }
        }
        println!("one caller, medians of {ROUNDS} rounds of {CALLS}");
        println!("  PING            {:>6.1} us", median(&mut pings) * 1e6);
        let [replay, first, script] = ratios.map(|mut ratios| median(&mut ratios));
        println!("  in PINGs:");
        println!("  replay          {:6}", Figure::at_most(replay, 1.3));
        println!("  first request   {:6}", Figure::at_most(first, 2.7));
        println!("  an empty script {script:>6.2}");
    }

    /// Many callers on one connection.
    async fn throughput(&self) {
        let replayed = self.recorded().await;
        println!("{CALLERS} callers, operations a second, best of five");
        for (name, kind) in [
            ("PING", Kind::Ping),
            ("an empty script", Kind::Script),
            ("replay", Kind::Replay),
            ("first request", Kind::First),
        ] {
            let mut best = 0.0_f64;
            for _ in 0..5 {
                let start = Instant::now();
                join_all((0..CALLERS).map(|_| self.calls(kind, &replayed))).await;
                let calls = f64::from(u32::try_from(CALLERS * CALLS).expect("few"));
                best = best.max(calls / start.elapsed().as_secs_f64());
            }
            println!("  {name:<15} {best:>7.0}");
        }
    }

    async fn calls(&self, kind: Kind, replayed: &Claim) {
        for _ in 0..CALLS {
            match kind {
                Kind::Ping => self.ping().await,
                Kind::Script => self.empty_script().await,
                Kind::Replay => self.replay(replayed).await,
                Kind::First => self.first().await,
            }
        }
    }

    /// What keys cost the server.
    async fn memory(&self) {
        println!("bytes a key, {KEYS} keys");
        let in_flight = self.bytes_of(async |claim| drop(self.claim(claim).await));
        println!("  in flight       {:>7}", in_flight.await);
        for size in [RECORD, 1024, 4096] {
            let recorded = self.bytes_of(async |claim| self.complete(claim, size).await);
            println!("  record of {size:<5} {:>7}", recorded.await);
        }
    }

    /// Returns what each key costs that is made so. Those before it are there still.
    async fn bytes_of(&self, make: impl AsyncFn(&Claim)) -> i64 {
        let before = self.used_memory().await;
        for _ in 0..KEYS / 100 {
            let hundred: Vec<_> = (0..100).map(|_| fresh()).collect();
            join_all(hundred.iter().map(|claim| make(claim))).await;
        }
        let keys = i64::try_from(KEYS).expect("few");
        (self.used_memory().await - before) / keys
    }

    async fn used_memory(&self) -> i64 {
        let mut connection = self.pinging.clone();
        let info: String = cmd("INFO")
            .arg("memory")
            .query_async(&mut connection)
            .await
            .expect("INFO");
        let line = info.lines().find_map(|it| it.strip_prefix("used_memory:"));
        line.and_then(|used| used.trim().parse().ok())
            .expect("used_memory")
    }

    async fn ping(&self) {
        let mut connection = self.pinging.clone();
        let pong: redis::RedisResult<()> = cmd("PING").query_async(&mut connection).await;
        pong.expect("PONG");
    }

    async fn empty_script(&self) {
        let mut connection = self.pinging.clone();
        let nothing: redis::RedisResult<Option<i64>> = cmd("EVAL")
            .arg("return 1")
            .arg(0)
            .query_async(&mut connection)
            .await;
        nothing.expect("an answer");
    }

    async fn claim(&self, claim: &Claim) -> Claimed {
        let fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);
        let policy = UnknownOutcome::Retry;
        let claimed = self.store.claim(claim, &fingerprint, policy).await;
        claimed.expect("an answer")
    }

    async fn complete(&self, claim: &Claim, size: usize) {
        let record = Bytes::from(vec![7; size]);
        let completed = self.store.complete(claim, record, Effects::Keep).await;
        completed.expect("an answer");
    }

    /// Claims and completes, as a first request does.
    async fn recorded(&self) -> Claim {
        let claim = fresh();
        assert!(matches!(self.claim(&claim).await, Claimed::Acquired(_)));
        self.complete(&claim, RECORD).await;
        claim
    }

    async fn first(&self) {
        self.recorded().await;
    }

    async fn replay(&self, recorded: &Claim) {
        let again = Claim::new(
            *recorded.name(),
            OwnerToken::random(),
            recorded.lease(),
            recorded.ttl(),
        );
        assert!(matches!(self.claim(&again).await, Claimed::Completed(_)));
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Ping,
    Script,
    Replay,
    First,
}

/// Makes a claim that nothing else has, in less time than random bytes take.
fn fresh() -> Claim {
    static RUN: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut name = [0; RecordName::LEN];
    name[..8].copy_from_slice(&next.to_be_bytes());
    name[16..].copy_from_slice(RUN.as_bytes());
    let minute = Duration::from_secs(60);
    Claim::new(
        RecordName::from_bytes(name),
        OwnerToken::random(),
        minute / 6,
        minute,
    )
}

/// Returns the seconds that one call takes.
async fn per_call(call: impl AsyncFn()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call().await;
    }
    start.elapsed().as_secs_f64() / f64::from(u32::try_from(CALLS).expect("few"))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server of the bench's own.
struct Server {
    port: u16,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Self { port, process }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
