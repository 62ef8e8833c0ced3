//! Transfers between accounts, each carried out exactly once, whatever is killed.
//!
//! ```sh
//! cargo run --release --features client,sqlite --example exactly_once [sqlite:bank.db]
//! cargo run --release --features client,postgres --example exactly_once [postgres://127.0.0.1/bank]
//! ```
//!
//! Clients send transfers to a server, and send each again until it is answered; all the while the
//! server's process is killed and started again at random moments. The server writes in the
//! transaction that the layer commits with the record of its answer. At the end the books are
//! looked at: it ends with 1 if a transfer was carried out twice or was lost.
//!
//! Without a URL it makes a SQLite file of its own, if SQLite is built in; otherwise, and with the
//! word `postgres` for a URL, it starts a PostgreSQL of its own, where one is installed. At a URL it
//! makes the tables `exactly_once_accounts` and `exactly_once_transfers` anew.

mod clients;
mod database;
mod killer;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_server;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{env, error::Error, process::ExitCode};

use tokio::net::TcpListener;

use self::{database::Database, killer::Killer};

const ACCOUNTS: i32 = 20;
const BALANCE: i64 = 1000;
const TRANSFERS: u32 = 400;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--serve", address, url] => serve(address, url).await.map(|()| true),
        #[cfg(feature = "postgres")]
        ["postgres"] => try_on_a_server().await,
        [url] => try_on(url).await,
        [] => try_here().await,
        _ => Err("usage: exactly_once [URL]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("exactly_once: {error}");
            ExitCode::from(2)
        }
    }
}

/// What is killed again and again.
async fn serve(address: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let app = Database::of(url)?.app().await?;
    let listener = TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}

/// The same in a database of its own.
#[cfg(feature = "sqlite")]
async fn try_here() -> Result<bool, Box<dyn Error>> {
    let name = format!("exactly-once-{}.db", std::process::id());
    let file = env::temp_dir().join(name).display().to_string();
    let done = try_on(&format!("sqlite:{file}")).await;
    for suffix in ["", "-wal", "-shm", "-queue"] {
        // The log is gone where the last process ended in peace.
        let _ = std::fs::remove_file(format!("{file}{suffix}"));
    }
    done
}

#[cfg(all(feature = "postgres", not(feature = "sqlite")))]
use try_on_a_server as try_here;

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
async fn try_here() -> Result<bool, Box<dyn Error>> {
    Err("it needs a build with `--features sqlite`, or `--features postgres`".into())
}

#[cfg(feature = "postgres")]
async fn try_on_a_server() -> Result<bool, Box<dyn Error>> {
    let server = postgres_server::PostgresServer::start().await?;
    try_on(&server.url()).await
}

/// Returns whether every transfer was carried out once.
async fn try_on(url: &str) -> Result<bool, Box<dyn Error>> {
    let database = Database::of(url)?;
    database.prepare(ACCOUNTS, BALANCE).await?;
    let before = database.books().await?;
    let mut killer = Killer::start(url)?;
    let (answers, kills) = {
        let transfers = clients::transfer_all(killer.address(), TRANSFERS, ACCOUNTS);
        tokio::pin!(transfers);
        loop {
            tokio::select! {
                answers = &mut transfers => break (answers?, killer.kills()),
                ended = killer.kill_one() => ended?,
            }
        }
    };
    drop(killer);
    let after = database.books().await?;
    println!(
        "transfers asked for:   {TRANSFERS}, by clients that sent {} requests",
        answers.requests
    );
    println!(
        "answered as done:      {}, refused: {}",
        answers.done, answers.refused
    );
    println!("carried out:           {}", after.transfers);
    println!("carried out twice:     {}", after.repeated);
    println!(
        "money before and after: {} and {}",
        before.money, after.money
    );
    println!("the server was killed: {kills} times");
    Ok(answers.done + answers.refused == TRANSFERS
        && after.transfers == i64::from(answers.done)
        && after.repeated == 0
        && after.money == before.money)
}
