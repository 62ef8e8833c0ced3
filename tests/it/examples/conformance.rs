//! The routes of the conformance server, over both versions, and its end.

use http::{Request, request};
use serde_json::{Value, json};

use crate::support::{
    examples::Serving,
    sockets::{Answer, Client, Version},
};

/// Sends a request with a body.
pub(super) trait Asked {
    async fn ask(&mut self, request: request::Builder, body: &'static str) -> Answer;
}

impl Asked for Client {
    async fn ask(&mut self, request: request::Builder, body: &'static str) -> Answer {
        self.send(request.body(body.into()).unwrap()).await
    }
}

/// Returns how many runs began, and how many of them ended.
pub(super) async fn counter(client: &mut Client) -> (u64, u64) {
    let answer = client.ask(Request::get("/counter"), "").await;
    let counted: Value = serde_json::from_slice(&answer.body).unwrap();
    let number = |name: &str| counted[name].as_u64().unwrap();
    (number("count"), number("finished"))
}

async fn serve() -> Serving {
    Serving::start("conformance", &["--listen", "127.0.0.1:0"]).await
}

fn post(path: &str, key: &str) -> request::Builder {
    let request = Request::post(path).header("idempotency-key", key);
    request.header("te", "trailers")
}

/// What a route answers: status, body and type.
type Expected = (u16, &'static str, Option<&'static str>);

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

/// Routes that are sent one body, `body`; all of these answers are recorded.
const ROUTES: [(&str, Expected); 14] = [
    ("/status/200", (200, "status:200", TEXT)),
    ("/status/204", (204, "", None)),
    ("/status/304", (304, "", None)),
    ("/status/404", (404, "status:404", TEXT)),
    ("/status/299", (299, "status:299", TEXT)),
    ("/status/99", (400, "not a status: 99", TEXT)),
    ("/status/100", (400, "not a status: 100", TEXT)),
    ("/slow?ms=5", (200, "slept:5", TEXT)),
    ("/block?ms=5", (200, "blocked:5", TEXT)),
    ("/large?bytes=5", (200, "xxxxx", TEXT)),
    ("/headers", (200, "", None)),
    (
        "/stream?chunks=3&ms=5",
        (200, "chunk0;chunk1;chunk2;", None),
    ),
    ("/trailers", (200, "with trailers", None)),
    ("/nested/7/charge", (200, "charged 7", TEXT)),
];

fn check(route: &str, answer: &Answer, (status, body, content_type): Expected) {
    assert_eq!(answer.status, status, "{route}: {answer:?}");
    assert_eq!(answer.text(), body, "{route}");
    assert_eq!(answer.header("content-type"), content_type, "{route}");
}

#[tokio::test]
async fn every_route_answers_and_counts_one_run_of_two_requests() {
    let server = serve().await;
    for version in [Version::Http1, Version::Http2] {
        let mut client = server.connect(version).await;
        for (route, expected) in ROUTES {
            let key = format!("{version:?}{route}");
            assert_eq!(client.ask(Request::post("/reset"), "").await.status, 204);
            let first = client.ask(post(route, &key), "body").await;
            let second = client.ask(post(route, &key), "body").await;
            for answer in [&first, &second] {
                check(route, answer, expected);
                let trailers = answer
                    .trailers
                    .as_ref()
                    .map(|trailers| &trailers["x-checksum"]);
                assert_eq!(
                    trailers.is_some_and(|sum| sum == "abc"),
                    route == "/trailers"
                );
            }
            assert_eq!(
                [&first, &second].map(Answer::is_replayed),
                [false, true],
                "{route}"
            );
            assert_eq!(counter(&mut client).await, (1, 1), "{route}");
            assert_eq!(
                client.ask(post(route, &key), "other").await.status,
                422,
                "{route}"
            );
        }
    }
}

#[tokio::test]
async fn echo_gives_back_the_body_and_its_type_for_four_methods() {
    let server = serve().await;
    let mut client = server.connect(Version::Http2).await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for content_type in [None, Some("a/b; c=d")] {
            let key = format!("{method}-{content_type:?}").replace(' ', "");
            let mut request = post("/echo", &key.replace(['"', '(', ')', ';'], "")).method(method);
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let answer = client.ask(request, "body").await;
            check(method, &answer, (201, "body", content_type));
        }
    }
    assert_eq!(
        client
            .ask(post("/echo", "get").method("GET"), "")
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn headers_are_all_there_first_and_without_the_clients_own_on_retry() {
    let server = serve().await;
    let mut client = server.connect(Version::Http1).await;
    for replayed in [false, true] {
        let answer = client.ask(post("/headers", "a"), "").await;
        let expected = [
            ("location", "/charges/1"),
            ("etag", "\"v1\""),
            ("x-custom", "custom"),
            ("content-encoding", "identity"),
        ];
        for (name, value) in expected {
            assert_eq!(answer.header(name), Some(value));
        }
        assert_eq!(answer.headers.get_all("link").iter().count(), 2);
        assert_eq!(answer.headers.contains_key("set-cookie"), !replayed);
        assert_eq!(answer.headers.get_all("date").iter().count(), 1);
        let handlers_own = answer.header("date") == Some("Tue, 15 Nov 1994 08:12:31 GMT");
        assert_eq!(handlers_own, !replayed);
    }
}

#[tokio::test]
async fn routes_whose_answers_are_not_recorded_whole_answer_as_told() {
    let server = serve().await;
    let mut client = server.connect(Version::Http2).await;
    let first = client.ask(post("/fail-first?ms=5", "a"), "").await;
    let second = client.ask(post("/fail-first?ms=5", "a"), "").await;
    assert_eq!([first.status.as_u16(), second.status.as_u16()], [503, 200]);
    assert_eq!(counter(&mut client).await, (2, 2));
    client.ask(Request::post("/reset"), "").await;
    assert_eq!(client.ask(post("/fail-first", "b"), "").await.status, 503);

    let events = client.ask(post("/sse", "sse"), "").await;
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let all = "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n";
    assert_eq!(events.text(), all);
    let retry = client.ask(post("/sse", "sse"), "").await;
    assert_eq!(
        (retry.text(), retry.header("idempotency-replay")),
        ("", Some("omitted"))
    );

    let panicked = client
        .open(post("/panic", "panic").body("".into()).unwrap())
        .await;
    assert!(panicked.is_err(), "{panicked:?}");
    let mut client = server.connect(Version::Http1).await;
    let panicked = client
        .open(post("/panic", "panic").body("".into()).unwrap())
        .await;
    assert!(panicked.is_err(), "{panicked:?}");
}

#[tokio::test]
async fn context_tells_attempt_fence_and_downstream_key() {
    let server = serve().await;
    let mut client = server.connect(Version::Http1).await;
    let answer = client.ask(post("/context", "a"), "").await;
    let context: Value = serde_json::from_slice(&answer.body).unwrap();
    let downstream_key = context["downstream_key"].as_str().unwrap();
    uuid::Uuid::parse_str(downstream_key).unwrap();
    let expected = json!({ "attempt": 1, "fence": 1, "downstream_key": downstream_key });
    assert_eq!(context, expected);
}

#[tokio::test]
async fn nested_accounts_are_kept_apart() {
    let server = serve().await;
    let mut client = server.connect(Version::Http1).await;
    assert_eq!(
        client.ask(post("/nested/1/charge", "a"), "").await.text(),
        "charged 1"
    );
    assert_eq!(
        client.ask(post("/nested/2/charge", "a"), "").await.status,
        422
    );
    assert_eq!(
        client.ask(post("/nested/2/charge", "b"), "").await.text(),
        "charged 2"
    );
    assert_eq!(counter(&mut client).await, (2, 2));
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_ends_with_0_once_all_handlers_have_ended() {
    use crate::support::sockets::HangUp;

    let file = std::env::temp_dir().join(format!("ledger-{}", uuid::Uuid::new_v4()));
    let ledger = [
        "--listen",
        "127.0.0.1:0",
        "--ledger",
        file.to_str().unwrap(),
    ];
    let server = Serving::start("conformance", &ledger).await;
    let mut client = server.connect(Version::Http2).await;
    let mut attached = server.connect(Version::Http1).await;
    let slow = || post("/slow?ms=600", "attached");
    let attached = tokio::spawn(async move { attached.ask(slow(), "").await });
    let gone = Client::connect_for(server.address, HangUp::Close).await;
    let gone = gone.begin(post("/slow?ms=900", "gone"));
    while counter(&mut client).await != (2, 0) {}
    gone.hang_up(HangUp::Close).await;
    server.terminate();
    assert_eq!(attached.await.unwrap().text(), "slept:600");
    drop(client);
    let output = server.end().await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, b"");
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(lines.matches(r#""event":"end""#).count(), 2, "{lines}");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_ends_an_idle_server_with_0_at_once() {
    let server = serve().await;
    let mut idle = server.connect(Version::Http1).await;
    assert_eq!(counter(&mut idle).await, (0, 0));
    server.terminate();
    assert_eq!(server.end().await.status.code(), Some(0));
}
