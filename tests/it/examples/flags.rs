//! The command line of the conformance server.

use std::{fs, time::Duration};

use http::{Request, request};
use serde_json::Value;
use tokio::time::sleep;

use super::conformance::{Asked, counter};
use crate::support::{
    examples::{Serving, run},
    sockets::{Client, Version},
};

#[tokio::test]
async fn a_command_line_that_does_not_work_is_one_line_and_exit_code_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let bad: [(&[&str], &str); 20] = [
        (&["--nope"], "--nope"),
        (&["-x"], "-x"),
        (&["extra"], "extra"),
        (&["--listen"], "--listen"),
        (&["--listen", "nowhere"], "nowhere"),
        (&["--listen", "192.0.2.1:1"], "192.0.2.1:1"),
        (&["--store", "nope://x"], "nope"),
        (&["--store", ""], "--store"),
        (&["--ttl-ms", "1s"], "--ttl-ms"),
        (&["--ttl-ms", "99999999999999999999"], "--ttl-ms"),
        (&["--lease-ms", "-1"], "--lease-ms"),
        (&["--wait-ms", "1.5"], "--wait-ms"),
        (&["--optional-key=yes"], "--optional-key"),
        (&["--max-request-bytes", "1k"], "--max-request-bytes"),
        (&["--max-response-bytes", ""], "--max-response-bytes"),
        (&["--principal-header", "a b"], "--principal-header"),
        (&["--unknown-outcome", "maybe"], "--unknown-outcome"),
        (&["--max-in-flight", "x"], "--max-in-flight"),
        (
            &["--ledger", "/no/such/directory/ledger"],
            "/no/such/directory/ledger",
        ),
        (&["--record-all", "--fail-open", "--ledger"], "--ledger"),
    ];
    for (args, named) in bad {
        let mut all = vec!["--listen", &taken];
        all.extend(args);
        let output = run("conformance", &all).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert_eq!(output.stdout, b"", "{args:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
        assert!(error.contains(named), "{args:?}: {error}");
    }
}

#[cfg(all(unix, feature = "redis"))]
#[tokio::test]
async fn a_redis_that_would_lose_keys_is_one_line_and_exit_code_2() {
    let evicts = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let server = crate::support::redis::RedisServer::with(&evicts);
    let output = run("conformance", &["--store", &server.url()]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(output.stdout, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("maxmemory-policy is allkeys-lru"), "{error}");
}

#[tokio::test]
async fn help_names_every_flag() {
    let output = run("conformance", &["--help"]).await;
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in "listen store ttl-ms lease-ms wait-ms optional-key max-request-bytes \
                 max-response-bytes principal-header unknown-outcome fail-open max-in-flight \
                 record-all ledger"
        .split_whitespace()
    {
        assert!(help.contains(&format!("--{flag} ")), "{flag}");
    }
}

/// Starts the server with flags.
async fn serve(flags: &[&str]) -> (Serving, Client) {
    let mut args = vec!["--listen", "127.0.0.1:0"];
    args.extend(flags);
    let server = Serving::start("conformance", &args).await;
    let client = server.connect(Version::Http1).await;
    (server, client)
}

fn post(path: &str, key: &str) -> request::Builder {
    Request::post(path).header("idempotency-key", key)
}

async fn statuses(client: &mut Client, requests: [request::Builder; 2]) -> [u16; 2] {
    let mut statuses = [0; 2];
    for (status, request) in statuses.iter_mut().zip(requests) {
        *status = client.ask(request, "body").await.status.as_u16();
    }
    statuses
}

#[tokio::test]
async fn flags_that_change_one_answer_change_it() {
    let echo = || post("/echo", "a");
    let alice = || echo().header("x-user", "alice");
    let bob = || echo().header("x-user", "bob");
    let unkeyed = || Request::post("/echo");
    let table: [(&[&str], [request::Builder; 2], [u16; 2]); 13] = [
        (&[], [unkeyed(), echo()], [400, 201]),
        (&["--optional-key"], [unkeyed(), echo()], [201, 201]),
        (&["--max-request-bytes", "3"], [echo(), echo()], [413, 413]),
        (&["--max-request-bytes", "4"], [echo(), echo()], [201, 201]),
        (
            &["--principal-header", "X-User"],
            [alice(), bob()],
            [201, 201],
        ),
        (
            &["--principal-header", "X-User"],
            [echo(), alice()],
            [403, 201],
        ),
        (
            &[],
            [post("/fail-first", "a"), post("/fail-first", "a")],
            [503, 200],
        ),
        (
            &["--record-all"],
            [post("/fail-first", "a"), post("/fail-first", "a")],
            [503, 503],
        ),
        (
            &[],
            [post("/status/500", "a"), post("/status/500", "a")],
            [500, 500],
        ),
        (
            &["--unknown-outcome", "refuse"],
            [post("/status/500", "a"), post("/status/500", "a")],
            [500, 409],
        ),
        (
            &["--unknown-outcome", "retry"],
            [post("/status/500", "a"), post("/status/500", "a")],
            [500, 500],
        ),
        (
            &["--fail-open", "--store", "memory"],
            [echo(), echo()],
            [201, 201],
        ),
        (
            &["--ttl-ms", "0", "--lease-ms", "0"],
            [echo(), unkeyed()],
            [201, 400],
        ),
    ];
    for (flags, requests, expected) in table {
        let (_server, mut client) = serve(flags).await;
        assert_eq!(statuses(&mut client, requests).await, expected, "{flags:?}");
    }
}

#[tokio::test]
async fn a_response_over_the_limit_is_omitted_on_retry() {
    let (_server, mut client) = serve(&["--max-response-bytes", "10"]).await;
    for (bytes, omitted) in [(10, None), (11, Some("omitted"))] {
        let request = || post(&format!("/large?bytes={bytes}"), &format!("key-{bytes}"));
        assert_eq!(client.ask(request(), "").await.body.len(), bytes);
        let retry = client.ask(request(), "").await;
        assert_eq!(retry.header("idempotency-replay"), omitted, "{bytes}");
    }
}

#[tokio::test]
async fn a_record_is_forgotten_after_its_ttl() {
    let (_server, mut client) = serve(&["--ttl-ms", "50"]).await;
    client.ask(post("/echo", "a"), "").await;
    sleep(Duration::from_millis(60)).await;
    assert!(!client.ask(post("/echo", "a"), "").await.is_replayed());
}

#[tokio::test]
async fn a_wait_is_for_the_owner_and_a_bound_for_all() {
    for (flags, expected, code) in [
        (&["--wait-ms", "0"], 409, "in-flight"),
        (&["--wait-ms", "20000"], 200, "slept"),
    ] {
        let (server, mut client) = serve(flags).await;
        let mut owner = server.connect(Version::Http2).await;
        let owner = tokio::spawn(async move { owner.ask(post("/slow?ms=300", "a"), "").await });
        while counter(&mut client).await != (1, 0) {}
        let second = client.ask(post("/slow?ms=300", "a"), "").await;
        assert_eq!(second.status, expected, "{flags:?}");
        assert!(second.text().contains(code), "{flags:?}: {second:?}");
        assert_eq!(owner.await.unwrap().text(), "slept:300");
        assert_eq!(counter(&mut client).await, (1, 1));
    }
    let (server, mut client) = serve(&["--max-in-flight", "1"]).await;
    let mut owner = server.connect(Version::Http2).await;
    let owner = tokio::spawn(async move { owner.ask(post("/slow?ms=300", "a"), "").await });
    while counter(&mut client).await != (1, 0) {}
    let second = client.ask(post("/echo", "b"), "").await;
    assert_eq!(second.status, 503);
    assert!(second.text().contains("overloaded"), "{second:?}");
    assert_eq!(owner.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_blocking_handler_keeps_its_key_with_a_short_lease() {
    let (server, mut client) = serve(&["--lease-ms", "200"]).await;
    let mut owner = server.connect(Version::Http1).await;
    let owner = tokio::spawn(async move { owner.ask(post("/block?ms=1000", "a"), "").await });
    while counter(&mut client).await != (1, 0) {}
    while !owner.is_finished() {
        let second = client.ask(post("/block?ms=1000", "a"), "").await;
        assert!(second.status == 409 || second.is_replayed(), "{second:?}");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(owner.await.unwrap().text(), "blocked:1000");
    assert_eq!(counter(&mut client).await, (1, 1));
}

#[tokio::test]
async fn the_ledger_has_a_line_for_every_start_and_end() {
    let file = std::env::temp_dir().join(format!("ledger-{}", uuid::Uuid::new_v4()));
    let flags = ["--optional-key", "--ledger", file.to_str().unwrap()];
    let (_server, mut client) = serve(&flags).await;
    let context = client.ask(post("/context", "a"), "").await;
    client.ask(post("/status/500", "b"), "").await;
    client.ask(post("/status/500", "b"), "").await;
    client.ask(Request::post("/echo"), "").await;
    let lines = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let context: Value = serde_json::from_slice(&context.body).unwrap();
    assert_eq!(lines[0]["downstream_key"], context["downstream_key"]);
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["event"].as_str().unwrap(),
                line["attempt"].as_u64(),
                line["fence"].as_u64(),
            )
        })
        .collect();
    let run = |attempt| [("start", attempt, attempt), ("end", attempt, attempt)];
    assert_eq!(
        seen,
        [run(Some(1)), run(Some(1)), run(Some(2)), run(None)].concat()
    );
    let ms: Vec<_> = lines
        .iter()
        .map(|line| line["ms"].as_u64().unwrap())
        .collect();
    assert!(ms.is_sorted() && ms[0] > 1_700_000_000_000, "{ms:?}");
}
