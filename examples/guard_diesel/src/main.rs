//! Payments that are written with diesel, in a transaction of the handler's own that is tied to
//! its claim: whatever dies when, none is made twice.
//!
//! ```sh
//! cargo run -p guard_diesel -- 127.0.0.1:8080 postgres://127.0.0.1/shop
//! curl -i -X POST http://127.0.0.1:8080/pay -H 'Idempotency-Key: order-17'
//! ```

use std::{env, error::Error, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use diesel::{
    sql_query,
    sql_types::{BigInt, Bytea, Text},
};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool},
};
use tokio::net::TcpListener;
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, PostgresStore};

type Connections = Pool<AsyncPgConnection>;
type Failed = (StatusCode, String);

const PAYMENTS: &str = "CREATE TABLE IF NOT EXISTS payments (payment_key text NOT NULL)";

async fn pay(
    context: IdempotencyContext,
    State(connections): State<Connections>,
) -> Result<String, Failed> {
    let key = context.key().as_str();
    if context.effect_committed() {
        // An earlier attempt paid, and died before its answer was recorded.
        return Ok(format!("paid {key}\n"));
    }
    let guard = context
        .guard()
        .expect("the store is PostgreSQL's, in the claimed mode");
    let mut connection = connections.get().await.map_err(not_paid)?;
    let paid = connection
        .transaction(async |connection| {
            let ours = sql_query(guard.sql())
                .bind::<Bytea, _>(guard.name())
                .bind::<Bytea, _>(guard.owner())
                .bind::<BigInt, _>(guard.fence())
                .execute(connection)
                .await?;
            if ours != 1 {
                // Another attempt has taken over: leave it to that.
                return Err(diesel::result::Error::RollbackTransaction);
            }
            let payment = sql_query("INSERT INTO payments VALUES ($1)").bind::<Text, _>(key);
            payment.execute(connection).await
        })
        .await;
    match paid {
        Ok(_) => Ok(format!("paid {key}\n")),
        // The commit may have been done: the next attempt is told.
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn not_paid(error: impl Error) -> Failed {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(address), Some(url)) = (args.next(), args.next()) else {
        return Err("usage: guard_diesel ADDRESS URL".into());
    };
    // A third of the lease at most, so that a renewal can be tried again.
    let store = PostgresStore::builder()
        .deadline(Duration::from_millis(500))
        .connect(&url)
        .await?;
    store.migrate().await?;
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let connections = Pool::builder(manager).build()?;
    connections.get().await?.batch_execute(PAYMENTS).await?;

    // Payments take milliseconds: what a dead process had begun is soon free.
    let layer = IdempotencyLayer::new(store)
        .lease(Duration::from_secs(2))
        .require_key();
    let app = Router::new().route("/pay", post(pay)).layer(layer);
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.with_state(connections)).await?;
    Ok(())
}
