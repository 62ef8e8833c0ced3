//! The example `inspect`, as an operator runs it.

use std::{convert::Infallible, fs, sync::Arc};

use axum::body::Body;
use http::Request;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{
    Admin, IdempotencyLayer, PostgresStore, Scope, Store, UnknownOutcome,
    store::{Claim, Encrypted, KeyRing},
};

use crate::{
    sqlite::database::Database,
    support::{
        claims::{acquire, fresh, leased},
        examples::run,
        postgres::{Driver, PostgresServer, Stores},
        redis::RedisServer,
        redis_store::patient,
        wire::{Answer, keyed, response},
    },
};

/// Somebody's service, on a store that is shared.
struct Service<S> {
    layer: IdempotencyLayer<Arc<S>>,
    store: Arc<S>,
}

impl<S: Store + Admin> Service<S> {
    fn on(store: S) -> Self {
        let store = Arc::new(store);
        let layer = IdempotencyLayer::new(Arc::clone(&store))
            .namespace("payments")
            .secret("of all servers")
            .scope(|_| Some(Scope::new("tenant").and("alice")))
            .unknown_outcome(UnknownOutcome::Refuse);
        Self { layer, store }
    }

    async fn send(&self, request: Request<Body>, status: u16) -> Answer {
        let handler = service_fn(move |_| async move {
            Ok::<_, Infallible>(response(status, format!("handler: {status}")))
        });
        let answer = self.layer.clone().layer(handler).oneshot(request).await;
        Answer::read(answer.unwrap().map(Body::new)).await
    }
}

/// What a run of the example came to.
struct Ran {
    code: Option<i32>,
    output: String,
    error: String,
}

impl Ran {
    async fn with(args: &[&str]) -> Self {
        let output = run("inspect", args).await;
        Self {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.output, self.error);
        assert_eq!(self.error, "");
        self.output
    }

    /// Each line of the output, read as JSON.
    #[track_caller]
    fn json(self) -> Vec<Value> {
        let output = self.done();
        let lines = output.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[track_caller]
    fn refused(&self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{}{}", self.output, self.error);
        assert_eq!(self.error.lines().count(), 1, "{}", self.error);
        assert!(self.error.contains(part), "{}", self.error);
    }
}

/// A secret in a file, as a secret manager mounts it.
fn secret(database: &Database) -> String {
    let path = database.directory().join("secret");
    fs::write(&path, "of all servers").unwrap();
    path.display().to_string()
}

/// Has a client's payment end so that nobody knows, and finds out and mends it from the outside.
async fn a_night_at_three<S: Store + Admin>(store: S, flags: &[&str]) {
    let files = Database::new();
    let secret = secret(&files);
    let service = Service::on(store);
    service.send(keyed("order-16"), 201).await;
    service.send(keyed("order-17"), 500).await;
    let refused = service.send(keyed("order-17"), 201).await;
    refused.assert_refused("outcome-unknown");
    let live = leased(&fresh(), Claim::MAX_LEASE);
    acquire(&service.store, &live).await.unwrap();

    let inspect = async |args: &[&str]| Ran::with(&[flags, args].concat()).await;
    let by_key = ["--key", "order-17", "--scope", "tenant", "--scope", "alice"];
    let by_key = [
        &by_key[..],
        &["--namespace", "payments", "--secret", &secret],
    ]
    .concat();
    let keyed_by = async |command: &str, more: &[&str]| {
        inspect(&[&[command][..], &by_key, more].concat()).await
    };

    let table = inspect(&["list"]).await.done();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("STATE"), "{table}");
    let counts = inspect(&["count", "--json"]).await.json();
    let expected = r#"{"in_flight":1,"lapsed":0,"abandoned":1,"completed":1,"unreadable":0}"#;
    assert_eq!(counts, [serde_json::from_str::<Value>(expected).unwrap()]);
    assert!(inspect(&["count"]).await.done().contains("abandoned   1"));

    let unknown = inspect(&["list", "--state", "abandoned", "--json"])
        .await
        .json();
    let [entry, end] = &unknown[..] else {
        panic!("{unknown:?}")
    };
    assert_eq!(end["next"], Value::Null);
    assert_eq!((&entry["fence"], &entry["attempt"]), (&1.into(), &1.into()));
    let name = inspect(&[&["name"][..], &by_key].concat()).await.done();
    assert_eq!(entry["record"], name.trim());
    // As the log has it.
    let digits = &name[..8];
    let shown = inspect(&["show", "--record", digits, "--json"])
        .await
        .json();
    assert_eq!(shown[0]["state"], "abandoned");
    assert!(keyed_by("show", &[]).await.done().contains("abandoned"));
    keyed_by("show", &["--response"])
        .await
        .refused(1, "no response is recorded");

    let live = format!("{:x}", live.name());
    inspect(&["forget", "--record", &live])
        .await
        .refused(1, "--force");
    inspect(&["resolve", "--record", &live, "--status", "201"])
        .await
        .refused(1, "at work");
    assert_eq!(
        inspect(&["forget", "--record", &live, "--force"])
            .await
            .done(),
        "forgotten\n"
    );
    inspect(&["forget", "--record", &live])
        .await
        .refused(1, "nothing is kept");

    let answer = [
        "--status",
        "201",
        "--header",
        "content-type: text/plain",
        "--body",
        "paid",
    ];
    let resolved = keyed_by("resolve", &answer).await.done();
    assert_eq!(resolved, "recorded: retries get this answer\n");
    let retry = service.send(keyed("order-17"), 500).await;
    assert!(retry.is_replay());
    assert_eq!(
        (retry.status, retry.text()),
        (201.try_into().unwrap(), "paid")
    );
    keyed_by("resolve", &answer)
        .await
        .refused(1, "recorded already");

    let response = keyed_by("show", &["--response"]).await.done();
    assert!(
        response.ends_with("content-type: text/plain\r\n\r\npaid"),
        "{response}"
    );
    let response = keyed_by("show", &["--response", "--json"]).await.json();
    assert_eq!(response[1]["status"], 201);
    assert_eq!(response[1]["body"], "paid");
    assert_eq!(
        keyed_by("forget", &["--json"]).await.json()[0]["forgotten"],
        name.trim()
    );
    assert_eq!(service.send(keyed("order-17"), 202).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_found_and_resolved_in_a_sqlite_file() {
    let database = Database::new();
    let url = format!("sqlite:{}", database.path().display());
    a_night_at_three(database.store().await, &["--store", &url]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_found_and_resolved_in_redis() {
    let server = RedisServer::start();
    let builder = patient().prefix("shop:");
    let store = builder.connect(&server.url()).await.unwrap();
    let flags = ["--store", &server.url(), "--prefix", "shop:"];
    a_night_at_three(store, &flags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_found_and_resolved_in_postgres() {
    let stores = Stores::new(PostgresServer::shared(), Driver::Deadpool);
    stores.migrate().await;
    let store: PostgresStore = stores.open().await;
    let flags = ["--store", &stores.url, "--table", &stores.table];
    a_night_at_three(store, &flags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_found_and_resolved_under_encryption() {
    let (database, server) = (Database::new(), RedisServer::start());
    let keys = ["old", "new"].map(|name| database.directory().join(name));
    fs::write(&keys[0], "01".repeat(32)).unwrap();
    fs::write(&keys[1], "02".repeat(32) + "\n").unwrap();
    let [old, new] = [1, 2].map(|id: usize| format!("{id}:{}", keys[id - 1].display()));
    let ring = || KeyRing::new(2, &[2; 32]).and(1, &[1; 32]);
    let store = patient().connect(&server.url()).await.unwrap();
    let url = server.url();
    let flags = ["--store", &url, "--encryption", &new, "--encryption", &old];
    a_night_at_three(Encrypted::new(store.clone(), ring()), &flags).await;

    // What was recorded under the old key alone is shown with both, and not with another.
    let service = Service::on(Encrypted::new(store, KeyRing::new(1, &[1; 32])));
    service.send(keyed("order-18"), 201).await;
    let secret = secret(&database);
    let by_key = [
        "show",
        "--response",
        "--key",
        "order-18",
        "--scope",
        "tenant",
        "--scope",
        "alice",
    ];
    let by_key = [
        &by_key[..],
        &["--namespace", "payments", "--secret", &secret],
    ]
    .concat();
    let shown = Ran::with(&[&flags[..], &by_key].concat()).await.done();
    assert!(shown.ends_with("handler: 201"), "{shown}");
    let shown = Ran::with(&[&flags[..4], &by_key].concat()).await;
    shown.refused(2, "encrypted with the key 1, which is not in the key ring");
    let shown = Ran::with(&[&flags[..2], &by_key].concat()).await;
    shown.refused(2, "if the store's records are encrypted, give --encryption");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_stops_where_it_was_told_to_and_goes_on_from_there() {
    let database = Database::new();
    let store = database.store().await;
    for _ in 0..25 {
        let claim = leased(&fresh(), Claim::MAX_LEASE);
        acquire(&store, &claim).await.unwrap();
    }
    let url = format!("sqlite:{}", database.path().display());
    let base = ["--store", &url, "list", "--json", "--limit", "10"];
    let (mut names, mut after) = (Vec::new(), Vec::new());
    let mut pages = 0;
    loop {
        let mut lines = Ran::with(&[&base[..], &after].concat()).await.json();
        let end = lines.pop().unwrap();
        assert!(lines.len() <= 10);
        names.extend(lines.iter().map(|line| line["record"].to_string()));
        pages += 1;
        let Some(next) = end["next"].as_str() else {
            break;
        };
        after = vec!["--after", next.to_owned().leak()];
    }
    names.sort();
    names.dedup();
    assert_eq!((names.len(), pages), (25, 3));
    let table = Ran::with(&["--store", &url, "list", "--limit", "10"])
        .await
        .done();
    assert!(
        table
            .lines()
            .last()
            .unwrap()
            .starts_with("there is more: --after "),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_does_not_work_is_one_line_and_exit_code_2() {
    let database = Database::new();
    drop(database.store().await);
    let url = format!("sqlite:{}", database.path().display());
    let missing = format!("{url}.missing");
    let empty = database.directory().join("empty");
    fs::write(&empty, "").unwrap();
    let empty = empty.display().to_string();
    let short = format!("1:{empty}");
    let name = "01".repeat(32);
    let on = |args: &[&'static str]| [&["--store", url.clone().leak()], args].concat();
    let bad: [(Vec<&str>, &str); 34] = [
        (vec![], "a command is missing"),
        (vec!["list"], "--store is missing"),
        (on(&["look"]), "\"look\" is no command: list, count"),
        (on(&["list", "count"]), "count"),
        (on(&["--nope", "list"]), "--nope"),
        (on(&["list", "-x"]), "-x"),
        (on(&["list", "--state", "lost"]), "--state"),
        (on(&["list", "--limit", "ten"]), "--limit"),
        (on(&["list", "--after", "12"]), "--after"),
        (on(&["list", "--force"]), "--force is not for list"),
        (on(&["list", "--json=yes"]), "--json"),
        (on(&["count", "--ttl-secs", "1h"]), "--ttl-secs"),
        (on(&["count", "--json", "--json"]), "--json was given twice"),
        (on(&["show"]), "show needs --record or --key"),
        (on(&["show", "--record"]), "--record"),
        (on(&["show", "--record", "1234567"]), "8 to 64"),
        (on(&["show", "--record", "nonsense"]), "8 to 64"),
        (
            vec!["--store", &url, "show", "--record", &name, "--key", "a"],
            "give one",
        ),
        (on(&["show", "--key", "a b"]), "--key"),
        (
            on(&["show", "--scope", "a", "--record", "12345678"]),
            "--key is missing",
        ),
        (
            vec!["--store", &url, "show", "--key", "a", "--secret", &empty],
            "it is empty",
        ),
        (
            on(&["show", "--key", "a", "--secret", "/no/such/file"]),
            "/no/such/file",
        ),
        (
            on(&["forget", "--response", "--key", "a"]),
            "--response is not for forget",
        ),
        (on(&["resolve", "--key", "a"]), "--status"),
        (on(&["resolve", "--key", "a", "--status", "99"]), "--status"),
        (
            on(&["resolve", "--key", "a", "--status", "200", "--header", "a"]),
            "--header",
        ),
        (
            on(&[
                "resolve",
                "--key",
                "a",
                "--status",
                "200",
                "--body-file",
                "/no/such/file",
            ]),
            "/no/such/file",
        ),
        (vec!["name"], "--key is missing"),
        (vec!["--store", "memory", "list"], "its own process"),
        (
            vec!["--store", "nope://user:password@host", "list"],
            "\"nope\"",
        ),
        (vec!["--store", &missing, "list"], "no such file"),
        (
            vec!["--store", "redis://127.0.0.1:1", "list"],
            "cannot be reached",
        ),
        (
            vec!["--store", "postgres://127.0.0.1:1/x", "list"],
            "cannot be reached",
        ),
        (
            vec!["--store", &url, "--encryption", &short, "list"],
            "--encryption",
        ),
    ];
    for (args, part) in bad {
        let ran = Ran::with(&args).await;
        ran.refused(2, part);
        assert_eq!(ran.output, "", "{args:?}");
        assert!(!ran.error.contains("password"), "{}", ran.error);
    }
    assert!(!fs::exists(missing.strip_prefix("sqlite:").unwrap()).unwrap());
}

#[tokio::test]
async fn help_names_every_command_and_every_flag() {
    let help = Ran::with(&["--help"]).await.done();
    let source = include_str!("../../../examples/inspect/flags.rs");
    let matched = source.split_once("match flag {\n").unwrap().1;
    let flags: Vec<_> = source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|word| matched.contains(&format!("\"{word}\" => self.")))
        .collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        assert!(
            help.contains(&format!("--{flag} ")) || help.contains(&format!("--{flag}\n")),
            "{flag}"
        );
    }
    for command in ["list", "count", "show", "forget", "resolve", "name"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
}
