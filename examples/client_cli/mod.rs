//! What the two payment clients have in common: the command line and what is printed.

use std::{error::Error, num::NonZeroU32, process::ExitCode, str::FromStr, time::Duration};

use http::{HeaderName, StatusCode};
use lexopt::{Arg, Parser, ValueExt};
use tower_idempotency::client::{
    Backoff, CallError, Cause, InvalidPolicy, Jitter, Key, RetryEvent, RetryInfo, RetryPolicy,
};

const HELP: &str = "\
Pays once, however often it must ask.

  URL               where to (http://127.0.0.1:5000/process-payment)
  --strategy NAME   how the pause grows: fixed, exponential or jitter (fixed)
  --retries N       how many attempts are made in all (3)
  --delay TIME      the pause, or the first one: 2s, 500ms (2s)
";

/// What the server said at last.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) info: RetryInfo,
    pub(crate) body: String,
}

/// Pays as the command line says, with the client's own way to do so.
pub(crate) async fn run(
    pay: impl AsyncFnOnce(&str, &RetryPolicy) -> Result<Answer, Box<dyn Error>>,
) -> ExitCode {
    let flags = match Flags::parse() {
        Ok(Some(flags)) => flags,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&error),
    };
    match flags.policy() {
        Ok(policy) => report(pay(&flags.url, &policy).await),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &dyn Error) -> ExitCode {
    eprintln!("{error}; --help shows the flags");
    ExitCode::from(2)
}

fn report(result: Result<Answer, Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(answer) if answer.status.is_success() => {
            println!(
                "attempt {} succeeded: {}",
                answer.info.attempts(),
                answer.status
            );
            println!("{}", answer.body);
            return ExitCode::SUCCESS;
        }
        Ok(answer) => give_up(&answer.info, Cause::Status(answer.status)),
        Err(error) => match error.downcast_ref::<CallError>() {
            Some(call) if call.info().is_some() => {
                let source = call
                    .source()
                    .expect("a call fails with an error of its client");
                give_up(call.info().expect("seen above"), Cause::Error(source));
            }
            _ => println!("failed: {}", Cause::Error(&*error)),
        },
    }
    ExitCode::FAILURE
}

fn give_up(info: &RetryInfo, cause: Cause<'_>) {
    println!("attempt {} failed: {cause}", info.attempts());
    println!("all failed, giving up: {}", info.stop());
}

/// What the command line says.
struct Flags {
    url: String,
    strategy: Strategy,
    retries: u32,
    delay: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Strategy {
    Fixed,
    Exponential,
    Jitter,
}

impl Flags {
    /// Reads the command line: `None` where it asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut flags = Self {
            url: "http://127.0.0.1:5000/process-payment".into(),
            strategy: Strategy::Fixed,
            retries: 3,
            delay: Duration::from_secs(2),
        };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("strategy") => flags.strategy = parser.value()?.parse()?,
                Arg::Long("retries") => {
                    flags.retries = parser.value()?.parse::<NonZeroU32>()?.get();
                }
                Arg::Long("delay") => flags.delay = parser.value()?.parse_with(time)?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(url) => flags.url = url.string()?,
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(flags))
    }

    /// Makes the policy, which prints a line for each attempt that failed.
    fn policy(&self) -> Result<RetryPolicy, InvalidPolicy> {
        let longest = self.delay.saturating_mul(8);
        let (backoff, jitter) = match self.strategy {
            Strategy::Fixed => (Backoff::fixed(self.delay), Jitter::None),
            Strategy::Exponential => (Backoff::exponential(self.delay, longest), Jitter::None),
            Strategy::Jitter => (Backoff::exponential(self.delay, longest), Jitter::Full),
        };
        RetryPolicy::builder()
            .backoff(backoff)
            .jitter(jitter)
            .max_attempts(self.retries)
            .attempt_timeout(Duration::from_secs(10))
            .idempotency_key(Key::UuidV4) // the payments example deduplicates
            .key_header(HeaderName::from_static("x-idempotency-key"))
            .on_retry(print_attempt)
            .build()
    }
}

fn print_attempt(event: &RetryEvent<'_>) {
    let (attempt, cause, delay) = (event.attempt(), event.cause(), event.delay());
    println!("attempt {attempt} failed: {cause}; next one in {delay:.1?}");
}

impl FromStr for Strategy {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "fixed" => Ok(Self::Fixed),
            "exponential" => Ok(Self::Exponential),
            "jitter" => Ok(Self::Jitter),
            _ => Err("the strategies are fixed, exponential and jitter"),
        }
    }
}

/// Reads `2s`, `0.5s` or `500ms`.
fn time(text: &str) -> Result<Duration, &'static str> {
    let seconds = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(millis), _) => millis.parse().map(|millis: f64| millis / 1e3),
        (None, Some(seconds)) => seconds.parse(),
        (None, None) => return Err("a time has a unit, as in 2s or 500ms"),
    };
    let seconds = seconds.map_err(|_| "a time begins with a number, as in 2s or 500ms")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a time is neither negative nor endless")
}
