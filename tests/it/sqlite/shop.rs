use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;
use tower_idempotency::{
    Effects, IdempotencyLayer, SqliteStore,
    store::{SqliteTransaction, TransactionError},
};

use super::database::Database;

type Layer = IdempotencyLayer<SqliteStore>;

/// A service whose handlers write in the transaction of a store.
#[derive(Clone)]
pub(crate) struct Shop {
    app: Router,
    till: Till,
}

/// How often handlers ran, and what they wait for.
#[derive(Clone, Default)]
pub(crate) struct Till {
    runs: Arc<AtomicUsize>,
    pub(crate) open: Arc<tokio::sync::Notify>,
}

/// A status, a body, and whether it was replayed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) replayed: bool,
}

impl Answer {
    pub(crate) fn code(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).expect("a problem");
        problem["code"].as_str().expect("a code").to_owned()
    }
}

impl Shop {
    pub(crate) fn new(store: &SqliteStore, setup: impl FnOnce(Layer) -> Layer) -> Self {
        let till = Till::default();
        let layer = IdempotencyLayer::new(store.clone().transactional());
        let app = Router::new()
            .route("/sell", post(sell))
            .route("/refuse", post(refuse))
            .route("/refuse-and-keep", post(refuse_and_keep))
            .route("/fail", post(fail))
            .route("/panic", post(panics))
            .route("/panic-inside", post(panics_inside))
            .route("/hold", post(hold))
            .route("/abuse", post(abuse))
            .route("/spawn", post(spawn))
            .route("/error", post(error))
            .layer(setup(layer))
            .with_state(till.clone());
        Self { app, till }
    }

    /// How often a handler began.
    pub(crate) fn runs(&self) -> usize {
        self.till.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn till(&self) -> &Till {
        &self.till
    }

    pub(crate) async fn post(&self, path: &str, key: &str) -> Answer {
        self.send(path, key, "").await
    }

    pub(crate) async fn send(&self, path: &str, key: &str, body: &str) -> Answer {
        let request = Request::post(path).header("idempotency-key", key);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key("idempotency-replayed");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer {
            status,
            body: String::from_utf8(body.into()).unwrap(),
            replayed,
        }
    }
}

/// Makes the table that handlers write to.
pub(crate) fn furnish(database: &Database) {
    database
        .connection()
        .execute_batch(
            "CREATE TABLE sold (what TEXT);
             CREATE TABLE items (name TEXT PRIMARY KEY);
             CREATE TABLE orders (
               item TEXT REFERENCES items (name) DEFERRABLE INITIALLY DEFERRED
             )",
        )
        .unwrap();
}

/// How much was sold, as anybody sees it who did not sell it.
pub(crate) fn sold(database: &Database) -> i64 {
    database
        .connection()
        .query_row("SELECT count(*) FROM sold", [], |row| row.get(0))
        .unwrap()
}

async fn write(transaction: &SqliteTransaction) -> Result<usize, TransactionError> {
    let insert = |connection: &rusqlite::Connection| {
        connection.execute("INSERT INTO sold VALUES ('an apple')", [])
    };
    transaction.run(insert).await
}

async fn sell(State(till): State<Till>, transaction: SqliteTransaction) -> String {
    let run = till.runs.fetch_add(1, Ordering::SeqCst) + 1;
    write(&transaction).await.unwrap();
    format!("sold in run {run}")
}

async fn refuse(State(till): State<Till>, transaction: SqliteTransaction) -> impl IntoResponse {
    let run = till.runs.fetch_add(1, Ordering::SeqCst) + 1;
    write(&transaction).await.unwrap();
    (
        StatusCode::PAYMENT_REQUIRED,
        format!("refused in run {run}"),
    )
}

async fn refuse_and_keep(transaction: SqliteTransaction) -> Response {
    write(&transaction).await.unwrap();
    let mut response = StatusCode::PAYMENT_REQUIRED.into_response();
    response.extensions_mut().insert(Effects::Keep);
    response
}

async fn fail(State(till): State<Till>, transaction: SqliteTransaction) -> StatusCode {
    till.runs.fetch_add(1, Ordering::SeqCst);
    write(&transaction).await.unwrap();
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn panics(transaction: SqliteTransaction) {
    write(&transaction).await.unwrap();
    panic!("as asked");
}

async fn panics_inside(transaction: SqliteTransaction) {
    write(&transaction).await.unwrap();
    let panics = |_: &rusqlite::Connection| -> rusqlite::Result<()> { panic!("as asked, inside") };
    transaction.run(panics).await.unwrap();
}

async fn hold(State(till): State<Till>, transaction: SqliteTransaction) -> String {
    till.runs.fetch_add(1, Ordering::SeqCst);
    write(&transaction).await.unwrap();
    till.open.notified().await;
    match write(&transaction).await {
        Ok(_) => "held".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Does what a handler may not: the body says what.
async fn abuse(State(till): State<Till>, transaction: SqliteTransaction, sql: String) -> String {
    till.runs.fetch_add(1, Ordering::SeqCst);
    write(&transaction).await.unwrap();
    let abuse = move |connection: &rusqlite::Connection| {
        // What fails is ignored, as some do.
        for statement in sql.split(';') {
            let _ = connection.execute_batch(statement);
        }
        Ok(())
    };
    let first = transaction.run(abuse).await;
    format!("{first:?}, {:?}", write(&transaction).await)
}

/// Leaves the transaction to somebody who goes on for ever.
async fn spawn(transaction: SqliteTransaction) -> &'static str {
    write(&transaction).await.unwrap();
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(transaction);
    });
    "spawned"
}

/// Passes on what its statement returned.
async fn error(transaction: SqliteTransaction) -> Result<&'static str, (StatusCode, String)> {
    let wrong = |connection: &rusqlite::Connection| connection.execute("SELEC", []);
    let done = transaction.run(wrong).await;
    let refuse = |error: TransactionError| (StatusCode::BAD_REQUEST, error.to_string());
    done.map(|_| "done").map_err(refuse)
}
