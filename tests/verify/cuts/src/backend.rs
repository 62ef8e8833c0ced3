use std::path::PathBuf;

use crate::{
    postgres::PostgresServer,
    redis::{self, RedisServer},
};

/// A store's server, or its file.
pub(crate) enum Backend {
    Redis(RedisServer),
    Postgres {
        server: PostgresServer,
        transactional: bool,
    },
    Sqlite {
        directory: PathBuf,
        transactional: bool,
    },
}

impl Backend {
    pub(crate) const NAMES: [&str; 5] = ["redis", "postgres", "postgres+tx", "sqlite", "sqlite+tx"];

    pub(crate) fn start(name: &str) -> Option<Self> {
        let transactional = name.ends_with("+tx");
        Some(match name {
            "redis" => Self::Redis(RedisServer::durable()),
            // Wrong on purpose.
            "forgetful" => Self::Redis(RedisServer::start()),
            "postgres" | "postgres+tx" => Self::Postgres {
                server: PostgresServer::start(),
                transactional,
            },
            "sqlite" | "sqlite+tx" => Self::Sqlite {
                directory: redis::new_directory(),
                transactional,
            },
            _ => return None,
        })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Postgres {
                server,
                transactional: true,
            } => server.url().replacen(':', "+tx:", 1),
            Self::Postgres { server, .. } => server.url(),
            Self::Sqlite {
                directory,
                transactional,
            } => {
                let mode = if *transactional { "+tx" } else { "" };
                format!("sqlite{mode}:{}", directory.join("cuts.db").display())
            }
        }
    }

    pub(crate) const fn is_transactional(&self) -> bool {
        match self {
            Self::Redis(_) => false,
            Self::Postgres { transactional, .. } | Self::Sqlite { transactional, .. } => {
                *transactional
            }
        }
    }

    /// Whether there is anything to kill beside the servers.
    pub(crate) const fn is_a_server(&self) -> bool {
        !matches!(self, Self::Sqlite { .. })
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Redis(server) => server.kill(),
            Self::Postgres { server, .. } => server.kill(),
            Self::Sqlite { .. } => {}
        }
    }

    pub(crate) fn restart(&mut self) {
        match self {
            Self::Redis(server) => server.restart(),
            Self::Postgres { server, .. } => server.restart(),
            Self::Sqlite { .. } => {}
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Self::Sqlite { directory, .. } = self {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}
