//! What the store in PostgreSQL costs: claimed, beside statements of their own; transactional,
//! beside the same handler in a transaction of its own.
//!
//! ```sh
//! cargo bench --features postgres --bench postgres          # starts a PostgreSQL, with fsync on
//! cargo bench --features postgres --bench postgres -- postgres://127.0.0.1/bench
//! ```

#[allow(dead_code, reason = "it has other kinds of bounds too")]
#[path = "common/figure.rs"]
mod figure;

use std::{convert::Infallible, env, error::Error, future::Future, time::Instant};

use bytes::Bytes;
use deadpool_postgres::{Client, Manager, Pool};
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use rand::RngExt;
use tokio_postgres::{NoTls, types::ToSql};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use tower_idempotency::{
    Effects, Fingerprint, IdempotencyLayer, PgTransaction, PostgresStore, RecordName, ResponseBody,
    Store, UnknownOutcome,
    store::{Claim, Claimed, OwnerToken},
};
use uuid::Uuid;

use self::figure::Figure;

#[path = "../examples/exactly_once/postgres_server.rs"]
mod postgres_server;

/// The length of the record of a JSON response of 300 bytes.
const RECORD: usize = 423;
const ROUNDS: usize = 40;
const CALLS: usize = 50;
const CALLERS: usize = 64;
const TURNS: usize = 7;
const ACCOUNTS: i32 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let given = env::args().skip(1).find(|arg| arg.starts_with("postgres"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = match &given {
            Some(_) => None,
            None => Some(postgres_server::PostgresServer::start().await?),
        };
        let url = given.unwrap_or_else(|| server.as_ref().expect("started").url());
        let bench = Bench::connect(&url).await?;
        bench.latency().await;
        let bound = |ratio| Figure::at_least(ratio, 0.7);
        bench
            .throughput("a transfer of four statements", transfer, bound)
            .await;
        bench
            .throughput("a handler of one statement", note, Figure::unbounded)
            .await;
        Ok(())
    })
}

/// A handler with the layer around it.
type Layered =
    BoxCloneService<Request<Empty<Bytes>>, Response<ResponseBody<Full<Bytes>>>, Infallible>;

struct Bench {
    /// As the store's own pool, with one connection for each caller at most.
    pool: Pool,
    claimed: PostgresStore,
    transactional: PostgresStore,
}

impl Bench {
    async fn connect(url: &str) -> Result<Self, Box<dyn Error>> {
        let pool = || -> Result<Pool, Box<dyn Error>> {
            let manager = Manager::new(url.parse()?, NoTls);
            Ok(Pool::builder(manager).max_size(16).build()?)
        };
        let claimed = PostgresStore::builder().pool(pool()?)?;
        claimed.migrate().await?;
        let builder = PostgresStore::builder().transactional().table("bench_tx");
        let transactional = builder.pool(pool()?)?;
        transactional.migrate().await?;
        let pool = pool()?;
        let tables = format!(
            "DROP TABLE IF EXISTS bench_rows, bench_accounts, bench_transfers;
             CREATE TABLE bench_rows (id uuid PRIMARY KEY, body bytea NOT NULL);
             CREATE TABLE bench_accounts (id int PRIMARY KEY, balance bigint NOT NULL);
             CREATE TABLE bench_transfers (sender int, receiver int, amount bigint);
             INSERT INTO bench_accounts SELECT id, 1000000 FROM generate_series(1, {ACCOUNTS}) AS id"
        );
        pool.get().await?.batch_execute(&tables).await?;
        Ok(Self {
            pool,
            claimed,
            transactional,
        })
    }

    /// One caller. The kinds take turns, so that what disturbs one disturbs all.
    async fn latency(&self) {
        let client = self.pool.get().await.expect("a connection");
        let replayed = fresh();
        self.first(&replayed).await;
        let mut times: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let select = per_call(async || run(&client, "SELECT 1", &[]).await).await;
            let replay = per_call(async || self.replay(&replayed).await).await;
            let insert = per_call(async || self.insert(&client).await).await;
            let first = per_call(async || self.first(&fresh()).await).await;
            for (times, time) in times.iter_mut().zip([select, replay, insert, first]) {
                times.push(time);
            }
        }
        let [select, replay, insert, first] = times.map(|mut times| median(&mut times));
        println!("claimed, one caller, medians of {ROUNDS} rounds of {CALLS}");
        println!("  SELECT 1           {:>7.1} us", select * 1e6);
        println!(
            "  replay, of it      {}",
            Figure::at_most(replay / select, 1.4)
        );
        println!("  INSERT of one row  {:>7.1} us", insert * 1e6);
        println!(
            "  first, of it       {}",
            Figure::at_most(first / insert, 2.5)
        );
    }

    async fn insert(&self, client: &Client) {
        let insert = "INSERT INTO bench_rows VALUES (encode($1, 'hex')::uuid, $2)";
        let (id, body) = (Uuid::new_v4(), vec![7_u8; RECORD]);
        run(client, insert, &[&id.as_bytes().as_slice(), &body]).await;
    }

    async fn first(&self, claim: &Claim) {
        let claimed = self
            .claimed
            .claim(claim, &FINGERPRINT, UnknownOutcome::Retry);
        assert!(matches!(claimed.await, Ok(Claimed::Acquired(_))));
        let record = Bytes::from(vec![7; RECORD]);
        let kept = self.claimed.complete(claim, record, Effects::Keep).await;
        kept.expect("an answer");
    }

    async fn replay(&self, recorded: &Claim) {
        let (name, owner) = (*recorded.name(), OwnerToken::random());
        let again = Claim::new(name, owner, recorded.lease(), recorded.ttl());
        let claimed = self
            .claimed
            .claim(&again, &FINGERPRINT, UnknownOutcome::Retry);
        assert!(matches!(claimed.await, Ok(Claimed::Completed(_))));
    }

    /// Many callers: the handler in its own transaction, and in the layer's, by turns.
    async fn throughput<H, F>(&self, name: &str, handler: H, figure: impl Fn(f64) -> Figure)
    where
        H: Fn(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let service = self.service(&handler);
        let (mut owns, mut layers, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let (pool, handler) = (self.pool.clone(), handler.clone());
            let own = per_second(move || in_its_own(pool.clone(), handler.clone())).await;
            let service = service.clone();
            let with_layer = per_second(move || call(service.clone())).await;
            owns.push(own);
            layers.push(with_layer);
            ratios.push(with_layer / own);
        }
        println!("{name}, {CALLERS} callers, medians of {TURNS} turns");
        println!(
            "  in its own transaction {:>7.0} a second",
            median(&mut owns)
        );
        println!(
            "  in the layer's         {:>7.0} a second",
            median(&mut layers)
        );
        println!(
            "  the one of the other   {:>7}",
            figure(median(&mut ratios))
        );
    }

    /// Puts the layer around the handler.
    fn service<H, F>(&self, handler: &H) -> Layered
    where
        H: Fn(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let handler = handler.clone();
        let inner = service_fn(move |request: Request<_>| {
            let transaction = PgTransaction::of(request.extensions()).expect("a transaction");
            let running = handler(Connection::Layers(transaction));
            drop(request);
            async move {
                running.await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; 300]))))
            }
        });
        BoxCloneService::new(IdempotencyLayer::new(self.transactional.clone()).layer(inner))
    }
}

/// Runs the handler in a transaction of its own.
async fn in_its_own<F: Future<Output = ()>>(pool: Pool, handler: impl Fn(Connection) -> F) {
    let client = pool.get().await.expect("a connection");
    client.batch_execute("BEGIN").await.expect("a transaction");
    let client = std::sync::Arc::new(client);
    handler(Connection::Own(std::sync::Arc::clone(&client))).await;
    client.batch_execute("COMMIT").await.expect("a commit");
}

/// Sends a request under a key of its own.
async fn call(service: Layered) {
    let request = Request::post("/").header("idempotency-key", Uuid::new_v4().to_string());
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let response = service.oneshot(request).await.expect("never fails");
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.expect("a body");
}

/// What a handler's statements run on.
enum Connection {
    Own(std::sync::Arc<Client>),
    Layers(PgTransaction<Client>),
}

impl Connection {
    async fn run(&self, statement: &str, params: &[&(dyn ToSql + Sync)]) {
        match self {
            Self::Own(client) => run(client, statement, params).await,
            Self::Layers(transaction) => run(transaction, statement, params).await,
        }
    }
}

async fn transfer(connection: Connection) {
    let (from, to) = {
        let mut rng = rand::rng();
        (
            rng.random_range(1..ACCOUNTS),
            rng.random_range(1..=ACCOUNTS),
        )
    };
    // In one order, so that no two wait for each other.
    let (from, to) = (
        from.min(to),
        if from == to { ACCOUNTS } else { from.max(to) },
    );
    let amount = 1_i64;
    let withdraw = "UPDATE bench_accounts SET balance = balance - $2 WHERE id = $1";
    connection.run(withdraw, &[&from, &amount]).await;
    let deposit = "UPDATE bench_accounts SET balance = balance + $2 WHERE id = $1";
    connection.run(deposit, &[&to, &amount]).await;
    let note = "INSERT INTO bench_transfers VALUES ($1, $2, $3)";
    connection.run(note, &[&from, &to, &amount]).await;
    let look = "SELECT balance FROM bench_accounts WHERE id = $1";
    connection.run(look, &[&from]).await;
}

async fn note(connection: Connection) {
    let note = "INSERT INTO bench_transfers VALUES ($1, $2, $3)";
    connection.run(note, &[&1_i32, &2_i32, &3_i64]).await;
}

async fn run(client: &Client, statement: &str, params: &[&(dyn ToSql + Sync)]) {
    let statement = client.prepare_cached(statement).await.expect("it is valid");
    client.query(&statement, params).await.expect("rows");
}

const FINGERPRINT: Fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);

fn fresh() -> Claim {
    let mut name = [0; RecordName::LEN];
    name[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    let minute = std::time::Duration::from_secs(60);
    let (name, owner) = (RecordName::from_bytes(name), OwnerToken::random());
    Claim::new(name, owner, minute / 6, minute)
}

/// Returns the seconds that one call takes.
async fn per_call(call: impl AsyncFn()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call().await;
    }
    start.elapsed().as_secs_f64() / f64::from(u32::try_from(CALLS).expect("few"))
}

/// Returns how many calls a second all callers make together, each in a task, as in a server.
async fn per_second<F: Future<Output = ()> + Send>(
    call: impl Fn() -> F + Clone + Send + 'static,
) -> f64 {
    let start = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let call = call.clone();
        tokio::spawn(async move {
            for _ in 0..CALLS {
                call().await;
            }
        })
    });
    for ended in join_all(callers).await {
        ended.expect("no caller fails");
    }
    let calls = f64::from(u32::try_from(CALLERS * CALLS).expect("few"));
    calls / start.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
