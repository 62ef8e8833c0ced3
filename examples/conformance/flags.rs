use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use axum::http::HeaderName;
use lexopt::{Arg, Parser};
use tower_idempotency::UnknownOutcome;

pub(crate) const HELP: &str = "\
A server with the idempotency layer on every route.

  --listen ADDR             where to listen (127.0.0.1:8080)
  --store URL               where records are kept (memory)
  --ttl-ms N                how long records last (24 hours)
  --lease-ms N              how long a claim lasts that nobody renews (10 seconds)
  --wait-ms N               wait this long for a running owner; 0 answers 409 (0)
  --optional-key            requests without a key pass
  --max-request-bytes N     the longest request body (1 MiB)
  --max-response-bytes N    the longest response body that is recorded (1 MiB)
  --principal-header NAME   scope keys by the value of this header
  --unknown-outcome POLICY  retry or refuse (retry)
  --fail-open               run without the store when it is down
  --max-in-flight N         how many keyed requests may run at once (1024)
  --record-all              record every answer, whatever its status
  --ledger FILE             append a line of JSON when a handler starts and when it ends
";

/// What the command line says; `None` leaves the layer's own default.
pub(crate) struct Flags {
    pub(crate) listen: String,
    pub(crate) store: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) wait: Duration,
    pub(crate) optional_key: bool,
    pub(crate) max_request_bytes: Option<usize>,
    pub(crate) max_response_bytes: Option<usize>,
    pub(crate) principal_header: Option<HeaderName>,
    pub(crate) unknown_outcome: UnknownOutcome,
    pub(crate) fail_open: bool,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) record_all: bool,
    pub(crate) ledger: Option<PathBuf>,
}

impl Flags {
    /// Reads the command line: `None` where it asks for help.
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut flags = Self {
            listen: "127.0.0.1:8080".into(),
            store: "memory".into(),
            ttl: None,
            lease: None,
            wait: Duration::ZERO,
            optional_key: false,
            max_request_bytes: None,
            max_response_bytes: None,
            principal_header: None,
            unknown_outcome: UnknownOutcome::Retry,
            fail_open: false,
            max_in_flight: None,
            record_all: false,
            ledger: None,
        };
        let mut args = Parser::from_env();
        while let Some(arg) = args.next()? {
            let Arg::Long(flag) = arg else {
                return Err(arg.unexpected());
            };
            let flag = flag.to_owned();
            let mut value = || Value::of(&flag, &mut args);
            match flag.as_str() {
                "listen" => flags.listen = value()?.parse("an address")?,
                "store" => flags.store = value()?.parse("a URL")?,
                "ttl-ms" => flags.ttl = Some(value()?.millis()?),
                "lease-ms" => flags.lease = Some(value()?.millis()?),
                "wait-ms" => flags.wait = value()?.millis()?,
                "optional-key" => flags.optional_key = true,
                "max-request-bytes" => flags.max_request_bytes = Some(value()?.number()?),
                "max-response-bytes" => flags.max_response_bytes = Some(value()?.number()?),
                "principal-header" => {
                    flags.principal_header = Some(value()?.parse("the name of a header field")?);
                }
                "unknown-outcome" => flags.unknown_outcome = value()?.policy()?,
                "fail-open" => flags.fail_open = true,
                "max-in-flight" => flags.max_in_flight = Some(value()?.number()?),
                "record-all" => flags.record_all = true,
                "ledger" => flags.ledger = Some(value()?.parse("a path")?),
                "help" => return Ok(None),
                _ => return Err(Arg::Long(&flag).unexpected()),
            }
        }
        Ok(Some(flags))
    }
}

/// The value of a flag, which names the flag where it does not fit.
struct Value<'a> {
    flag: &'a str,
    value: OsString,
}

impl<'a> Value<'a> {
    fn of(flag: &'a str, args: &mut Parser) -> Result<Self, lexopt::Error> {
        Ok(Self {
            flag,
            value: args.value()?,
        })
    }

    fn parse<T: FromStr>(&self, what: &str) -> Result<T, lexopt::Error> {
        let parsed = self.value.to_str().and_then(|value| value.parse().ok());
        parsed.ok_or_else(|| format!("--{} {:?} is not {what}", self.flag, self.value).into())
    }

    fn number(&self) -> Result<usize, lexopt::Error> {
        self.parse("a whole number")
    }

    fn millis(&self) -> Result<Duration, lexopt::Error> {
        self.parse("a whole number of milliseconds")
            .map(Duration::from_millis)
    }

    fn policy(&self) -> Result<UnknownOutcome, lexopt::Error> {
        match self.value.to_str() {
            Some("retry") => Ok(UnknownOutcome::Retry),
            Some("refuse") => Ok(UnknownOutcome::Refuse),
            _ => Err(format!(
                "--{} {:?} is neither retry nor refuse",
                self.flag, self.value
            )
            .into()),
        }
    }
}
