//! The router for operators.

use axum::{Router, body::Body};
use http::{Method, Request};
use serde_json::Value;
use tower::ServiceExt;
use tower_idempotency::{
    Effects, Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    admin::{self, Act, Permission},
    store::{Claim, Claimed, OwnerToken},
};

use crate::support::wire::Answer;

fn claim(name: u8) -> Claim {
    let name = RecordName::from_bytes([name; RecordName::LEN]);
    let day = admin::Repair::TTL;
    Claim::new(name, OwnerToken::random(), Claim::MAX_LEASE, day)
}

/// Claims a name, and does no more.
async fn acquire(store: &MemoryStore, name: u8) -> Claim {
    let claim = claim(name);
    let fingerprint = Fingerprint::from_bytes([name; Fingerprint::LEN]);
    let claimed = store.claim(&claim, &fingerprint, UnknownOutcome::Retry);
    assert!(matches!(claimed.await, Ok(Claimed::Acquired(_))));
    claim
}

/// A store with a record under the name 1, an abandoned claim under 2, and a live one under 3.
async fn filled() -> MemoryStore {
    let store = MemoryStore::new();
    let head = http::Response::builder()
        .status(201)
        .header("x-kind", "payment")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let fingerprint = Fingerprint::from_bytes([1; Fingerprint::LEN]);
    let first = acquire(&store, 1).await;
    let record = tower_idempotency::Record::whole(fingerprint, &head, "paid".into(), None);
    let record = record.encode(first.name());
    store.complete(&first, record, Effects::Keep).await.unwrap();
    let second = acquire(&store, 2).await;
    store.abandon(&second).await.unwrap();
    acquire(&store, 3).await;
    store
}

fn open(store: &MemoryStore) -> Router {
    Router::new().nest(
        "/idempotency",
        admin::router(store.clone(), |_, _| Permission::Granted),
    )
}

async fn ask(app: &Router, method: Method, path: &str, body: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/idempotency{path}"))
        .header("content-type", "text/plain")
        .body(Body::from(body.to_owned()))
        .unwrap();
    Answer::read(app.clone().oneshot(request).await.unwrap()).await
}

fn record(name: u8) -> String {
    format!("/records/{}", format!("{name:02x}").repeat(RecordName::LEN))
}

fn json(answer: &Answer) -> Value {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(answer.text()).unwrap()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(problem["status"], status);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(part), "{detail}");
}

/// Everything there is to ask for, and what kind of act that is.
fn all() -> [(Method, String, Act); 6] {
    [
        (Method::GET, "/records".to_owned(), Act::Look),
        (Method::GET, "/counts".to_owned(), Act::Look),
        (Method::GET, record(1), Act::Look),
        (Method::GET, format!("{}/response", record(1)), Act::Read),
        (
            Method::PUT,
            format!("{}/response?status=201", record(2)),
            Act::Repair,
        ),
        (Method::DELETE, record(1), Act::Forget),
    ]
}

#[tokio::test]
async fn nothing_is_shown_or_done_without_permission() {
    let store = filled().await;
    for (permission, status) in [
        (Permission::Unauthenticated, 401),
        (Permission::Forbidden, 403),
    ] {
        let refusing = admin::router(store.clone(), move |_, _| permission);
        let app = Router::new().nest("/idempotency", refusing);
        for (method, path, _) in all() {
            let answer = ask(&app, method.clone(), &path, "paid").await;
            assert_refused(&answer, status, "");
            assert!(!answer.text().contains("0101"), "{answer:?}");
            // Not even whether it would be a request that makes sense.
            let path = path.split('?').next().unwrap();
            let nonsense = ask(&app, method, &format!("{path}?nonsense=1"), "").await;
            assert_eq!(nonsense.status, status, "{path}");
        }
    }
    let counts = admin::count(&store).await.unwrap();
    assert_eq!(
        (counts.completed, counts.abandoned, counts.in_flight),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn permission_is_asked_for_each_act_with_the_head_of_the_request() {
    for (method, path, act) in all() {
        let store = filled().await;
        let permitting = move |parts: &http::request::Parts, asked| {
            let known = parts.headers.get("content-type").is_some();
            if known && asked == act {
                Permission::Granted
            } else {
                Permission::Forbidden
            }
        };
        let app = Router::new().nest("/idempotency", admin::router(store, permitting));
        for (other, other_path, other_act) in all() {
            let answer = ask(&app, other, &other_path, "paid").await;
            assert_eq!(
                answer.status == 403,
                other_act != act,
                "{act:?} {other_path}"
            );
        }
        let answer = ask(&app, method, &path, "paid").await;
        assert_ne!(answer.status, 403, "{path}");
    }
}

#[tokio::test]
async fn records_are_listed_by_state_and_page_by_page() {
    let store = filled().await;
    let app = open(&store);
    let (mut states, mut after) = (Vec::new(), String::new());
    loop {
        let page = json(&ask(&app, Method::GET, &format!("/records?at_once=1{after}"), "").await);
        for entry in page["entries"].as_array().unwrap() {
            states.push(entry["state"].as_str().unwrap().to_owned());
        }
        assert_eq!(page["unreadable"], 0);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    states.sort();
    assert_eq!(states, ["abandoned", "completed", "in-flight"]);
    let page = json(&ask(&app, Method::GET, "/records?state=abandoned", "").await);
    assert_eq!(page["entries"].as_array().unwrap().len(), 1);
    assert_eq!(page["entries"][0]["record"], "02".repeat(32));
    let counts = json(&ask(&app, Method::GET, "/counts", "").await);
    assert_eq!(counts["in_flight"], 1);
    assert_eq!(counts["lapsed"], 0);
}

#[tokio::test]
async fn an_entry_is_shown_and_its_response_on_request_alone() {
    let store = filled().await;
    let app = open(&store);
    let answer = ask(&app, Method::GET, &record(1), "").await;
    assert!(!answer.text().contains("paid"), "{answer:?}");
    assert_eq!(json(&answer)["state"], "completed");
    let claim = json(&ask(&app, Method::GET, &record(3), "").await);
    assert_eq!(claim["fence"], 1);
    assert!(claim["lease_left_ms"].as_u64().unwrap() > 3_500_000);

    let response = ask(&app, Method::GET, &format!("{}/response", record(1)), "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("message/http"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        response.text(),
        "HTTP/1.1 201 Created\r\nx-kind: payment\r\n\r\npaid"
    );
    for name in [2, 3] {
        let none = ask(&app, Method::GET, &format!("{}/response", record(name)), "").await;
        assert_refused(&none, 404, "no response");
    }
    assert_refused(
        &ask(&app, Method::GET, &record(9), "").await,
        404,
        "nothing is kept",
    );
}

#[tokio::test]
async fn a_record_is_forgotten_and_a_live_claim_by_force_alone() {
    let store = filled().await;
    let app = open(&store);
    assert_eq!(ask(&app, Method::DELETE, &record(1), "").await.status, 204);
    assert_refused(
        &ask(&app, Method::DELETE, &record(1), "").await,
        404,
        "nothing is kept",
    );
    for unforced in [record(3), format!("{}?force=false", record(3))] {
        assert_refused(
            &ask(&app, Method::DELETE, &unforced, "").await,
            409,
            "force=true",
        );
    }
    let forced = format!("{}?force=true", record(3));
    assert_eq!(ask(&app, Method::DELETE, &forced, "").await.status, 204);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn an_answer_is_recorded_where_the_outcome_is_unknown_and_nowhere_else() {
    let store = filled().await;
    let app = open(&store);
    let path = |name| format!("{}/response?status=402&ttl_secs=60", record(name));
    assert_eq!(
        ask(&app, Method::PUT, &path(2), "not paid").await.status,
        204
    );
    let response = ask(&app, Method::GET, &format!("{}/response", record(2)), "").await;
    let expected = "HTTP/1.1 402 Payment Required\r\ncontent-type: text/plain\r\n\r\nnot paid";
    assert_eq!(response.text(), expected);
    let entry = json(&ask(&app, Method::GET, &format!("{}?ttl_secs=60", record(2)), "").await);
    assert!(entry["expires_in_ms"].as_u64().unwrap() <= 60_000);

    assert_refused(
        &ask(&app, Method::PUT, &path(1), "").await,
        409,
        "recorded already",
    );
    assert_refused(&ask(&app, Method::PUT, &path(3), "").await, 409, "at work");
    assert_refused(
        &ask(&app, Method::PUT, &path(9), "").await,
        404,
        "nothing is kept",
    );
}

/// What makes no sense, and what is said to it.
fn nonsense() -> Vec<(Method, String, &'static str)> {
    let looks = [
        ("/records?state=lost", "state=\"lost\""),
        ("/records?at_once=-1", "at_once"),
        ("/records?after=12", "after"),
        ("/records?nonsense=1", "nonsense"),
        ("/records?state", "no value"),
        ("/records?ttl_secs=1h", "ttl_secs"),
        ("/records?at_once=1&at_once=2", "twice"),
        ("/records/12", "64 hexadecimal digits"),
    ];
    let looks = looks.map(|(path, part)| (Method::GET, path.to_owned(), part));
    let acts = [
        (
            Method::DELETE,
            format!("{}?force=maybe", record(1)),
            "force",
        ),
        (
            Method::DELETE,
            format!("{}?forced=true", record(3)),
            "forced",
        ),
        (Method::PUT, format!("{}/response", record(2)), "status=201"),
        (
            Method::PUT,
            format!("{}/response?status=99", record(2)),
            "status",
        ),
    ];
    looks.into_iter().chain(acts).collect()
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_the_reason_and_changes_nothing() {
    let store = filled().await;
    let app = open(&store);
    for (method, path, part) in nonsense() {
        let answer = ask(&app, method, &path, "").await;
        assert_refused(&answer, 400, part);
    }
    let long = "x".repeat(1024 * 1024 + 1);
    let path = format!("{}/response?status=201", record(2));
    assert_refused(&ask(&app, Method::PUT, &path, &long).await, 413, "1 MiB");
    let counts = admin::count(&store).await.unwrap();
    assert_eq!(
        (counts.completed, counts.abandoned, counts.in_flight),
        (1, 1, 1)
    );
}
