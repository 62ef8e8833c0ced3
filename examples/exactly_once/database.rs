use std::error::Error;

use axum::Router;

#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
#[cfg(feature = "sqlite")]
use crate::sqlite::Sqlite;

/// Where the accounts are.
pub(crate) enum Database {
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
}

/// What the accounts come to.
pub(crate) struct Books {
    pub(crate) money: i64,
    /// How many transfers were carried out.
    pub(crate) transfers: i64,
    /// How many of them once more than was asked for.
    pub(crate) repeated: i64,
}

impl Database {
    pub(crate) fn of(url: &str) -> Result<Self, Box<dyn Error>> {
        match url.split_once(':') {
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Postgres(url.to_owned()))),
            #[cfg(feature = "sqlite")]
            Some(("sqlite", path)) => Ok(Self::Sqlite(Sqlite(path.into()))),
            _ => Err(
                "the URL is for no database that this build knows: sqlite:PATH, postgres://…"
                    .into(),
            ),
        }
    }

    /// Makes the accounts anew, with so much in each.
    pub(crate) async fn prepare(&self, accounts: i32, balance: i64) -> Result<(), Box<dyn Error>> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.prepare(accounts, balance).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(sqlite) => sqlite.prepare(accounts, balance).await,
        }
    }

    /// Makes the server: `POST /transfer`.
    pub(crate) async fn app(&self) -> Result<Router, Box<dyn Error>> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.app().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(sqlite) => sqlite.app().await,
        }
    }

    pub(crate) async fn books(&self) -> Result<Books, Box<dyn Error>> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.books().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(sqlite) => sqlite.books().await,
        }
    }
}
