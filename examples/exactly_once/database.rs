use std::error::Error;

use axum::Router;

use crate::postgres::Postgres;

/// Where the accounts are.
pub(crate) enum Database {
    Postgres(Postgres),
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
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Postgres(url.to_owned()))),
            _ => Err("the URL is for no database that this example knows: postgres://…".into()),
        }
    }

    /// Makes the accounts anew, with so much in each.
    pub(crate) async fn prepare(&self, accounts: i32, balance: i64) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Postgres(postgres) => postgres.prepare(accounts, balance).await,
        }
    }

    /// Makes the server: `POST /transfer`.
    pub(crate) async fn app(&self) -> Result<Router, Box<dyn Error>> {
        match self {
            Self::Postgres(postgres) => postgres.app().await,
        }
    }

    pub(crate) async fn books(&self) -> Result<Books, Box<dyn Error>> {
        match self {
            Self::Postgres(postgres) => postgres.books().await,
        }
    }
}
