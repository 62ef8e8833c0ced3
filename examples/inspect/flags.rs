use std::{ffi::OsString, fs, path::Path, str::FromStr, time::Duration};

use lexopt::{Arg, Error, Parser};
use tower_idempotency::{
    IdempotencyKey, RecordNames, Scope,
    admin::{Cursor, State},
};

pub(crate) const HELP: &str = "\
Looks into an idempotency store, and mends it by hand.

  inspect --store URL COMMAND [FLAG]...

Commands:
  list       what is kept, all of it or of one state
  count      how many keys are in each state
  show       one record: its state, and on request the response
  forget     one record, so that its request may run again
  resolve    one record whose outcome is unknown: record an answer
  name       the record of a key, without a store

Which store:
  --store URL           sqlite:PATH, redis://, rediss://, unix://, redis+cluster://A,B, redis+sentinel://A,B/NAME,
                        postgres://, as far as they are built in
  --prefix PREFIX       of the keys in Redis (idem:)
  --table NAME          in PostgreSQL (idempotency)
  --encryption ID:FILE  the records are encrypted with the key in the file, 64 hexadecimal digits; given
                        again, with older keys too

Which record:
  --record DIGITS       by its name; by the first 8 or more of its digits, as the log has them, it is searched for
  --key KEY             by the client's key, and
  --scope PART          what the layer's scope returns, part by part
  --namespace NAME      the layer's namespace
  --secret FILE         the layer's secret

How:
  --json                one object of JSON in a line
  --ttl-secs N          the layer's ttl: ages are reckoned by it, and an answer is kept for so long (86400)
  --state STATE         list: in-flight, lapsed, abandoned or completed
  --limit N             list: stop after so many, and say where to go on
  --after CURSOR        list: go on there
  --response            show: the response too
  --force               forget: also while its owner is at work
  --status N            resolve: the status of the answer
  --header 'NAME: TEXT' resolve: a header field of the answer, as often as you like
  --body TEXT           resolve: the body of the answer
  --body-file FILE      resolve: the same, from a file
";

/// What the command line says.
#[derive(Default)]
#[allow(dead_code, reason = "some are of a store that is not built in")]
pub(crate) struct Flags {
    pub(crate) command: Option<Command>,
    pub(crate) store: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) encryption: Vec<(u32, [u8; 32])>,
    pub(crate) record: Option<String>,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) scope: Option<Scope>,
    pub(crate) names: RecordNames,
    pub(crate) json: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) state: Option<State>,
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<Cursor>,
    pub(crate) response: bool,
    pub(crate) force: bool,
    pub(crate) status: Option<http::StatusCode>,
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
    pub(crate) body: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    List,
    Count,
    Show,
    Forget,
    Resolve,
    Name,
}

impl Command {
    const ALL: [(&'static str, Self); 6] = [
        ("list", Self::List),
        ("count", Self::Count),
        ("show", Self::Show),
        ("forget", Self::Forget),
        ("resolve", Self::Resolve),
        ("name", Self::Name),
    ];

    /// The commands that a flag is for; any, where there is none.
    fn of_flag(flag: &str) -> &'static [Self] {
        match flag {
            "state" | "limit" | "after" => &[Self::List],
            "response" => &[Self::Show],
            "force" => &[Self::Forget],
            "status" | "header" | "body" | "body-file" => &[Self::Resolve],
            "record" => &[Self::List, Self::Show, Self::Forget, Self::Resolve],
            "key" | "scope" | "namespace" | "secret" => {
                &[Self::Show, Self::Forget, Self::Resolve, Self::Name]
            }
            _ => &[],
        }
    }

    fn word(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, command)| *command == self)
            .map_or("", |(word, _)| word)
    }
}

impl Flags {
    /// Reads the command line: `None` where it asks for help.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let mut flags = Self::default();
        let mut given = Vec::new();
        let mut args = Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long(flag) => {
                    let flag = flag.to_owned();
                    flags.set(&flag, &mut args)?;
                    given.push(flag);
                }
                Arg::Value(word) if flags.command.is_none() => {
                    flags.command = Some(command(&word)?);
                }
                arg => return Err(arg.unexpected()),
            }
        }
        flags.check(&given)?;
        Ok(Some(flags))
    }

    fn set(&mut self, flag: &str, args: &mut Parser) -> Result<(), Error> {
        let mut value = || Value::of(flag, args);
        match flag {
            "store" => self.store = Some(value()?.parse("a URL")?),
            "prefix" => self.prefix = Some(value()?.parse("a prefix")?),
            "table" => self.table = Some(value()?.parse("a name")?),
            "encryption" => self.encryption.push(value()?.encryption_key()?),
            "record" => self.record = Some(value()?.digits()?),
            "key" => self.key = Some(value()?.parse("an idempotency key")?),
            "scope" => {
                let part: String = value()?.parse("a part of a scope")?;
                self.scope = Some(match self.scope.take() {
                    Some(scope) => scope.and(part),
                    None => Scope::new(part),
                });
            }
            "namespace" => {
                let namespace: String = value()?.parse("a namespace")?;
                self.names = self.names.clone().namespace(namespace);
            }
            "secret" => self.names = self.names.clone().secret(value()?.secret()?),
            "json" => self.json = true,
            "ttl-secs" => {
                let seconds = value()?.parse("a whole number of seconds")?;
                self.ttl = Some(Duration::from_secs(seconds));
            }
            "state" => {
                self.state = Some(value()?.parse("in-flight, lapsed, abandoned or completed")?);
            }
            "limit" => self.limit = Some(value()?.parse("a whole number")?),
            "after" => self.after = Some(value()?.parse("a cursor of 64 digits")?),
            "response" => self.response = true,
            "force" => self.force = true,
            "status" => self.status = Some(value()?.parse("a status from 100 to 999")?),
            "header" => self.headers.push(value()?.header()?),
            "body" => self.body = Some(value()?.parse::<String>("text")?.into_bytes()),
            "body-file" => self.body = Some(value()?.file()?),
            _ => return Err(Arg::Long(flag).unexpected()),
        }
        Ok(())
    }

    /// Refuses what does not go together: nothing is passed over in silence.
    fn check(&self, given: &[String]) -> Result<(), Error> {
        let words = Command::ALL.map(|(word, _)| word).join(", ");
        let Some(command) = self.command else {
            return Err(format!("a command is missing: {words}").into());
        };
        for flag in given {
            let commands = Command::of_flag(flag);
            if !commands.is_empty() && !commands.contains(&command) {
                return Err(format!("--{flag} is not for {}", command.word()).into());
            }
        }
        for (index, flag) in given.iter().enumerate() {
            let often = ["scope", "header", "encryption"].contains(&flag.as_str());
            if !often && given[..index].contains(flag) {
                return Err(format!("--{flag} was given twice").into());
            }
        }
        let has = |flag: &str| given.iter().any(|it| it == flag);
        let needs_record = [Command::Show, Command::Forget, Command::Resolve].contains(&command);
        if has("record") && has("key") {
            return Err("--record and --key both say which record: give one".into());
        }
        if needs_record && !has("record") && !has("key") {
            return Err(format!("{} needs --record or --key", command.word()).into());
        }
        if !has("key") {
            for flag in ["scope", "namespace", "secret"] {
                if has(flag) || command == Command::Name {
                    return Err("--key is missing".into());
                }
            }
        }
        if has("body") && has("body-file") {
            return Err("--body and --body-file both say what the body is: give one".into());
        }
        if command == Command::Resolve && !has("status") {
            return Err("resolve needs --status".into());
        }
        if command != Command::Name && !has("store") {
            return Err("--store is missing".into());
        }
        Ok(())
    }
}

fn command(word: &OsString) -> Result<Command, Error> {
    let mut all = Command::ALL.into_iter();
    let found = all.find(|(known, _)| word == known);
    let words = Command::ALL.map(|(word, _)| word).join(", ");
    found
        .map(|(_, command)| command)
        .ok_or_else(|| format!("{word:?} is no command: {words}").into())
}

/// The value of a flag, which names the flag where it does not fit.
struct Value<'a> {
    flag: &'a str,
    value: OsString,
}

impl<'a> Value<'a> {
    fn of(flag: &'a str, args: &mut Parser) -> Result<Self, Error> {
        Ok(Self {
            flag,
            value: args.value()?,
        })
    }

    fn parse<T: FromStr>(&self, what: &str) -> Result<T, Error> {
        let parsed = self.value.to_str().and_then(|value| value.parse().ok());
        parsed.ok_or_else(|| self.refuse(what))
    }

    fn refuse(&self, what: &str) -> Error {
        format!("--{} {:?} is not {what}", self.flag, self.value).into()
    }

    fn digits(&self) -> Result<String, Error> {
        let digits: String = self.parse("hexadecimal digits")?;
        let is_name = (8..=64).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_name {
            return Err(self.refuse("8 to 64 hexadecimal digits"));
        }
        Ok(digits.to_ascii_lowercase())
    }

    fn header(&self) -> Result<(http::HeaderName, http::HeaderValue), Error> {
        let field: String = self.parse("a header field")?;
        let parsed = field.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        });
        parsed.ok_or_else(|| self.refuse("a header field, 'Name: text'"))
    }

    fn file(&self) -> Result<Vec<u8>, Error> {
        read(self.flag, self.value.as_ref())
    }

    fn secret(&self) -> Result<Vec<u8>, Error> {
        let secret = self.file()?;
        if secret.is_empty() {
            return Err(self.refuse("a file with a secret in it: it is empty"));
        }
        Ok(secret)
    }

    fn encryption_key(&self) -> Result<(u32, [u8; 32]), Error> {
        const WHAT: &str = "ID:FILE, the number of a key and a file of 64 hexadecimal digits";
        let text: String = self.parse(WHAT)?;
        let (id, path) = text.split_once(':').ok_or_else(|| self.refuse(WHAT))?;
        let id = id.parse().map_err(|_| self.refuse(WHAT))?;
        let digits = read(self.flag, path.as_ref())?;
        let digits = std::str::from_utf8(&digits).unwrap_or_default().trim();
        // A record's name is written down in the same way.
        let key: tower_idempotency::RecordName = digits.parse().map_err(|_| self.refuse(WHAT))?;
        Ok((id, *key.as_bytes()))
    }
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| format!("--{flag} {}: {error}", path.display()).into())
}
