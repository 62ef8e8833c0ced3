use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, routing::post};
use http::{Extensions, Request, Response, request};
use tower::ServiceExt;
use tower_idempotency::{Effects, IdempotencyLayer, PgTransaction, PostgresStore};

use super::{Driver, PostgresServer, Stores};
use crate::support::wire::{Answer, Gate, response};

/// A server whose handler leaves a row in its transaction, and then does as it is told.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) stores: Stores,
    effects: String,
    app: Router,
    runs: Arc<AtomicUsize>,
    pub(crate) gate: Gate,
}

/// A handler's transaction, on whichever driver.
pub(crate) enum Transaction {
    Deadpool(PgTransaction<deadpool_postgres::Client>),
    #[cfg(feature = "sqlx")]
    Sqlx(PgTransaction<sqlx::PgConnection>),
}

impl Transaction {
    fn of(extensions: &Extensions) -> Self {
        #[cfg(feature = "sqlx")]
        if let Ok(transaction) = PgTransaction::of(extensions) {
            return Self::Sqlx(transaction);
        }
        Self::Deadpool(PgTransaction::of(extensions).unwrap())
    }

    /// Runs statements, and returns whether they worked.
    pub(crate) async fn run(&mut self, script: &str) -> bool {
        match self {
            Self::Deadpool(transaction) => transaction.batch_execute(script).await.is_ok(),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(transaction) => {
                let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script.to_owned()));
                script.execute(&mut **transaction).await.is_ok()
            }
        }
    }
}

#[cfg(feature = "sqlx")]
impl Transaction {
    /// Runs statements in a transaction that sqlx begins within this one, and ends that as told.
    async fn nest(&mut self, end: &str, script: String) {
        use sqlx::Connection;

        let Self::Sqlx(transaction) = self else {
            unreachable!("only sqlx begins one within another")
        };
        let mut nested = transaction.begin().await.unwrap();
        let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script));
        script.execute(&mut *nested).await.unwrap();
        match end {
            "commit" => nested.commit().await.unwrap(),
            "rollback" => nested.rollback().await.unwrap(),
            "drop" => drop(nested),
            "forget" => std::mem::forget(nested),
            _ => unreachable!("{end}"),
        }
    }
}

type Layer = IdempotencyLayer<PostgresStore>;

impl Shop {
    pub(crate) async fn open(server: &PostgresServer, driver: Driver) -> Self {
        let stores = Stores::transactional(server, driver);
        stores.migrate().await;
        let effects = format!("effects_{}", &stores.table["idempotency_".len()..]);
        // A number that is there twice is found when the transaction commits.
        let table = format!(
            "CREATE TABLE {effects} (key text, number int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
        );
        server.run(&table).await;
        Self::on(stores, effects, |layer| layer).await
    }

    async fn on(stores: Stores, effects: String, setup: impl FnOnce(Layer) -> Layer) -> Self {
        let layer = setup(IdempotencyLayer::new(stores.open().await));
        let (runs, gate) = (Arc::<AtomicUsize>::default(), Gate::default());
        let handler = {
            let (effects, runs, gate) = (effects.clone(), Arc::clone(&runs), gate.clone());
            move |request: Request<Body>| {
                let (effects, gate) = (effects.clone(), gate.clone());
                runs.fetch_add(1, Ordering::SeqCst);
                let (parts, _) = request.into_parts();
                async move { handle(&parts, &effects, gate).await }
            }
        };
        Self {
            stores,
            effects,
            app: Router::new().route("/", post(handler)).layer(layer),
            runs,
            gate,
        }
    }

    /// Opens another server on the same tables.
    pub(crate) async fn another(&self, setup: impl FnOnce(Layer) -> Layer) -> Self {
        Self::on(self.stores.clone(), self.effects.clone(), setup).await
    }

    /// The same, with stores that were set up otherwise.
    pub(crate) async fn with_stores(
        &self,
        stores: Stores,
        setup: impl FnOnce(Layer) -> Layer,
    ) -> Self {
        Self::on(stores, self.effects.clone(), setup).await
    }

    pub(crate) async fn ask(&self, key: &str, what: &str) -> Answer {
        Answer::read(self.start(key, what).await).await
    }

    /// Sends a request; the future may be dropped.
    pub(crate) fn start(
        &self,
        key: &str,
        what: &str,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let request = Request::post("/")
            .header("idempotency-key", key.replace(' ', "-"))
            .header("x-do", what)
            // One fingerprint, whatever is done.
            .body(Body::empty())
            .unwrap();
        let app = self.app.clone();
        async move { app.oneshot(request).await.unwrap() }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// How often a key was carried out, as the database knows it.
    pub(crate) async fn effects(&self, server: &PostgresServer, key: &str) -> i64 {
        let key = key.replace(' ', "-");
        let count = format!("SELECT count(*) FROM {} WHERE key = '{key}'", self.effects);
        server.number(&count).await
    }

    pub(crate) async fn all_effects(&self, server: &PostgresServer) -> (i64, i64) {
        let all = format!("SELECT count(*) FROM {}", self.effects);
        let keys = format!("SELECT count(DISTINCT key) FROM {}", self.effects);
        (server.number(&all).await, server.number(&keys).await)
    }
}

async fn handle(request: &request::Parts, effects: &str, gate: Gate) -> Response<Body> {
    let header = |name| request.headers.get(name).unwrap().to_str().unwrap();
    let (key, what) = (header("idempotency-key"), header("x-do"));
    let mut transaction = Transaction::of(&request.extensions);
    if !transaction
        .run(&format!("INSERT INTO {effects} VALUES ('{key}')"))
        .await
    {
        return response(503, "the write failed");
    }
    let (what, argument) = what.split_once(' ').unwrap_or((what, ""));
    match what {
        "pay" => response(201, format!("paid {key}")),
        "answer" => response(argument.parse().unwrap(), "as told"),
        "fail" => {
            transaction.run("SELECT 1 / 0").await;
            response(argument.parse().unwrap(), "as told")
        }
        "keep" => {
            let mut response = response(argument.parse().unwrap(), "as told");
            response.extensions_mut().insert(Effects::Keep);
            response
        }
        "run" => {
            transaction.run(argument).await;
            response(201, "ran")
        }
        #[cfg(feature = "sqlx")]
        "nest" => {
            let (end, status) = argument.split_once(' ').unwrap();
            let script = format!("INSERT INTO {effects} VALUES ('{key}')");
            transaction.nest(end, script).await;
            response(status.parse().unwrap(), "nested")
        }
        "number" => {
            transaction
                .run(&format!(
                    "INSERT INTO {effects} VALUES ('{key}', {argument})"
                ))
                .await;
            response(201, "numbered")
        }
        "hold" => {
            gate.pass().await;
            response(201, format!("paid {key}"))
        }
        "lock" => {
            let (first, second) = argument.split_once(' ').unwrap();
            let lock = |number| format!("SELECT pg_advisory_xact_lock({number})");
            assert!(transaction.run(&lock(first)).await);
            gate.pass().await;
            if transaction.run(&lock(second)).await {
                response(201, "has both")
            } else {
                response(503, "a deadlock")
            }
        }
        "keep-it" => {
            tokio::spawn(async move {
                gate.pass().await;
                drop(transaction);
            });
            response(201, "it is elsewhere")
        }
        "panic" => panic!("as told"),
        _ => unreachable!("{what}"),
    }
}
