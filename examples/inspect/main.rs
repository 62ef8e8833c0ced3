//! Looks into an idempotency store, and mends it by hand.
//!
//! cargo run --example inspect --features sqlite -- --store sqlite:payments.db list --state lapsed
//!
//! `--help` lists commands and flags. It ends with 0 once it is done, with 1 where the store refuses or has
//! nothing under the name, and with 2 where a flag or the store does not work.

mod answer;
mod command;
mod flags;
mod print;
mod record;
mod store;

use std::process::ExitCode;

use self::flags::Flags;

/// Why it ends without having done what was asked for.
enum Failure {
    /// The store has nothing of that kind, or refuses.
    NotDone(String),
    /// A flag or the store does not work.
    Unusable(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::Unusable(message)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Flags::parse() {
        Ok(Some(flags)) => command::run(flags).await,
        Ok(None) => {
            print!("{}", flags::HELP);
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    let (message, code) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::NotDone(message)) => (message, 1),
        Err(Failure::Unusable(message)) => (message, 2),
    };
    eprintln!("inspect: {message}");
    ExitCode::from(code)
}
