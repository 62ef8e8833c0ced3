use std::{error::Error, path::PathBuf, time::Duration};

use axum::{Json, Router, http::StatusCode, routing::post};
use rusqlite::{Connection, params};
use serde::Deserialize;
use tower_idempotency::{
    IdempotencyLayer, SqliteStore, SqliteTransaction, store::TransactionError,
};

use crate::database::Books;

/// The accounts in a SQLite file.
pub(crate) struct Sqlite(pub(crate) PathBuf);

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
    transaction: SqliteTransaction,
    Json(transfer): Json<Transfer>,
) -> Result<String, (StatusCode, String)> {
    let failed = |error: TransactionError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let told = format!(
        "transferred {} from {} to {}",
        transfer.amount, transfer.from, transfer.to
    );
    let moved = transaction.run(move |bank| carry_out(bank, &transfer));
    if moved.await.map_err(failed)? {
        Ok(told)
    } else {
        Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            "not enough money".to_owned(),
        ))
    }
}

/// Returns whether there was enough money.
fn carry_out(bank: &Connection, transfer: &Transfer) -> rusqlite::Result<bool> {
    let Transfer {
        order,
        from,
        to,
        amount,
    } = transfer;
    let withdrawn = bank.execute(
        "UPDATE exactly_once_accounts SET balance = balance - ?2 WHERE id = ?1 AND balance >= ?2",
        params![from, amount],
    )?;
    if withdrawn == 0 {
        return Ok(false);
    }
    bank.execute(
        "UPDATE exactly_once_accounts SET balance = balance + ?2 WHERE id = ?1",
        params![to, amount],
    )?;
    bank.execute(
        "INSERT INTO exactly_once_transfers VALUES (?1, ?2, ?3, ?4)",
        params![order, from, to, amount],
    )?;
    Ok(true)
}

impl Sqlite {
    pub(crate) async fn app(&self) -> Result<Router, Box<dyn Error>> {
        let store = SqliteStore::builder().transactional().open(&self.0).await?;
        let layer = IdempotencyLayer::new(store).require_key();
        Ok(Router::new()
            .route("/transfer", post(transfer))
            .layer(layer))
    }

    #[allow(clippy::unused_async, reason = "as in other databases")]
    pub(crate) async fn prepare(&self, accounts: i32, balance: i64) -> Result<(), Box<dyn Error>> {
        let mut bank = self.connect()?;
        bank.pragma_update(None, "journal_mode", "WAL")?;
        let making = bank.transaction()?;
        making.execute_batch(
            "DROP TABLE IF EXISTS exactly_once_accounts;
             DROP TABLE IF EXISTS exactly_once_transfers;
             CREATE TABLE exactly_once_accounts (
                 id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0)
             );
             CREATE TABLE exactly_once_transfers (
                 transfer INTEGER NOT NULL, sender INTEGER NOT NULL,
                 receiver INTEGER NOT NULL, amount INTEGER NOT NULL
             )",
        )?;
        for account in 1..=accounts {
            let account = params![account, balance];
            making.execute("INSERT INTO exactly_once_accounts VALUES (?1, ?2)", account)?;
        }
        Ok(making.commit()?)
    }

    #[allow(clippy::unused_async, reason = "as in other databases")]
    pub(crate) async fn books(&self) -> Result<Books, Box<dyn Error>> {
        let books = "SELECT (SELECT sum(balance) FROM exactly_once_accounts), count(*), \
                     count(*) - count(DISTINCT transfer) FROM exactly_once_transfers";
        let books = self.connect()?.query_row(books, [], |row| {
            Ok(Books {
                money: row.get(0)?,
                transfers: row.get(1)?,
                repeated: row.get(2)?,
            })
        })?;
        Ok(books)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let bank = Connection::open(&self.0)?;
        bank.busy_timeout(Duration::from_secs(10))?;
        Ok(bank)
    }
}
