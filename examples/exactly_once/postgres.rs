use std::error::Error;

use axum::{Json, Router, http::StatusCode, routing::post};
use deadpool_postgres::Client;
use serde::Deserialize;
use tokio_postgres::NoTls;
use tower_idempotency::{IdempotencyLayer, PgTransaction, PostgresStore};

use crate::database::Books;

/// The accounts in PostgreSQL.
pub(crate) struct Postgres(pub(crate) String);

#[derive(Deserialize)]
struct Transfer {
    order: i32,
    from: i32,
    to: i32,
    amount: i64,
}

/// The handler. It writes in the transaction that the layer began, and commits once it has
/// answered; what fails is undone, with all that went before.
async fn transfer(
    transaction: PgTransaction<Client>,
    Json(Transfer {
        order,
        from,
        to,
        amount,
    }): Json<Transfer>,
) -> Result<String, (StatusCode, String)> {
    let failed =
        |error: tokio_postgres::Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let run = async |sql, params: &[&(dyn tokio_postgres::types::ToSql + Sync)]| {
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, params).await
    };
    let withdraw =
        "UPDATE exactly_once_accounts SET balance = balance - $2 WHERE id = $1 AND balance >= $2";
    if run(withdraw, &[&from, &amount]).await.map_err(failed)? == 0 {
        return Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            "not enough money".to_owned(),
        ));
    }
    let deposit = "UPDATE exactly_once_accounts SET balance = balance + $2 WHERE id = $1";
    run(deposit, &[&to, &amount]).await.map_err(failed)?;
    let note = "INSERT INTO exactly_once_transfers VALUES ($1, $2, $3, $4)";
    run(note, &[&order, &from, &to, &amount])
        .await
        .map_err(failed)?;
    Ok(format!("transferred {amount} from {from} to {to}"))
}

impl Postgres {
    pub(crate) async fn app(&self) -> Result<Router, Box<dyn Error>> {
        let store = PostgresStore::builder()
            .transactional()
            .connect(&self.0)
            .await?;
        store.migrate().await?;
        let layer = IdempotencyLayer::new(store).require_key();
        Ok(Router::new()
            .route("/transfer", post(transfer))
            .layer(layer))
    }

    pub(crate) async fn prepare(&self, accounts: i32, balance: i64) -> Result<(), Box<dyn Error>> {
        let script = format!(
            "DROP TABLE IF EXISTS exactly_once_accounts, exactly_once_transfers;
             CREATE TABLE exactly_once_accounts (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
             CREATE TABLE exactly_once_transfers (
                 transfer int NOT NULL, sender int NOT NULL, receiver int NOT NULL, amount bigint NOT NULL
             );
             INSERT INTO exactly_once_accounts SELECT id, {balance} FROM generate_series(1, {accounts}) AS id"
        );
        Ok(self.connect().await?.batch_execute(&script).await?)
    }

    pub(crate) async fn books(&self) -> Result<Books, Box<dyn Error>> {
        let books = "SELECT (SELECT sum(balance)::bigint FROM exactly_once_accounts), count(*), \
                     count(*) - count(DISTINCT transfer) FROM exactly_once_transfers";
        let row = self.connect().await?.query_one(books, &[]).await?;
        Ok(Books {
            money: row.get(0),
            transfers: row.get(1),
            repeated: row.get(2),
        })
    }

    async fn connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.0, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}
