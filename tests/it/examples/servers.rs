//! The servers of the first pages: `payments` and `hyper`.

use http::{Request, request};
use http_body_util::Full;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    examples::{Serving, run},
    sockets::{Answer, Client, Version, keyed},
};

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

fn send(request: request::Builder, body: &'static str) -> Request<Full<bytes::Bytes>> {
    request.body(body.into()).unwrap()
}

fn payment(key: &str) -> request::Builder {
    Request::post("/process-payment").header("x-idempotency-key", key)
}

/// Returns the id of a payment, and checks that nothing else is there.
fn payment_id(answer: &Answer) -> Uuid {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let id = body["result"]["payment_id"].as_str().expect("a payment id");
    let expected = json!({
        "message": "Payment processed successfully",
        "result": { "payment_id": id, "status": "success" },
    });
    assert_eq!(body, expected);
    id.parse().expect("a UUID")
}

#[tokio::test]
async fn payments_pays_once_for_one_key() {
    let mut payments = Serving::start("payments", &["127.0.0.1:0"]).await;
    for version in BOTH {
        let mut client = payments.connect(version).await;
        let key = format!("{version:?}");
        let first = client.send(send(payment(&key), "")).await;
        let second = client.send(send(payment(&key), "")).await;
        assert_eq!(payment_id(&first), payment_id(&second));
        assert_eq!([&first, &second].map(Answer::is_replayed), [false, true]);
        let other = client.send(send(payment(&format!("{key}-2")), "")).await;
        assert_ne!(payment_id(&other), payment_id(&first));

        let unkeyed = client
            .send(send(Request::post("/process-payment"), ""))
            .await;
        assert_eq!(unkeyed.status, 400);
        let problem: Value = serde_json::from_slice(&unkeyed.body).unwrap();
        assert_eq!(problem["code"], "missing-key");
    }
    let address = payments.address;
    payments.line().await;
    let command = payments.line().await;
    let curl = format!("curl -i -X POST http://{address}/process-payment");
    assert_eq!(
        command.trim(),
        format!("{curl} -H 'X-Idempotency-Key: order-17'")
    );
    payments.line().await;
    assert_eq!(payments.line().await.trim(), curl);
}

#[tokio::test]
async fn hyper_takes_one_order_for_one_key_over_both_versions() {
    let hyper = Serving::start("hyper", &["127.0.0.1:0"]).await;
    let mut answers = Vec::new();
    for version in BOTH {
        let mut client = hyper.connect(version).await;
        answers.push(client.send(send(keyed("a"), "two apples")).await);
        assert_eq!(client.send(send(Request::post("/"), "")).await.status, 400);
    }
    let [first, second] = &answers[..] else {
        unreachable!()
    };
    assert_eq!(first.status, 201);
    assert!(first.text().starts_with("order ") && first.text().ends_with(": two apples\n"));
    assert_eq!(first.body, second.body);
    assert_eq!([first, second].map(Answer::is_replayed), [false, true]);
}

#[tokio::test]
async fn a_server_without_its_address_says_so_and_ends_with_2() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for name in ["payments", "hyper"] {
        for address in ["nowhere", &taken] {
            let output = run(name, &[address]).await;
            assert_eq!(
                output.status.code(),
                Some(2),
                "{name} {address}: {output:?}"
            );
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(
                error.starts_with(&format!("{name}: ")) && error.contains(address),
                "{error}"
            );
        }
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn payments_on_sqlite_knows_a_payment_after_a_restart() {
    let file = std::env::temp_dir().join(format!("payments-{}.db", Uuid::new_v4()));
    let store = format!("sqlite:{}", file.display());
    let mut ids = Vec::new();
    for replayed in [false, true] {
        let mut payments = Serving::start("payments", &["127.0.0.1:0", "--store", &store]).await;
        let mut client = payments.connect(Version::Http1).await;
        // The port is another one after the restart, and belongs to the request.
        let order = payment("order-17").header("host", "shop.example");
        let answer = client.send(send(order, "")).await;
        assert_eq!(answer.is_replayed(), replayed, "{answer:?}");
        ids.push(payment_id(&answer));
        payments.kill().await;
    }
    assert_eq!(ids[0], ids[1]);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
}

#[tokio::test]
async fn payments_says_which_store_it_does_not_know() {
    for store in [&["--store"][..], &["--store", "nope:x"], &["--store", ""]] {
        let output = run("payments", store).await;
        assert_eq!(output.status.code(), Some(2), "{store:?}: {output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("payments: --store "), "{error}");
    }
}

#[cfg(all(unix, feature = "redis"))]
#[tokio::test]
async fn redis_has_one_key_answered_by_two_servers() {
    let server = crate::support::redis::RedisServer::durable();
    let mut first = Serving::start("redis", &[&server.url()]).await;
    let second = first.line().await;
    let second = second.strip_prefix("listening on http://").unwrap();
    let second = second.parse().unwrap();
    let pay = || {
        let request = Request::post("/pay").header("idempotency-key", "order-17");
        send(request.header("host", "shop.example"), "")
    };
    let paid = first.connect(Version::Http1).await.send(pay()).await;
    let mut other = Client::connect(second, Version::Http1).await;
    let again = other.send(pay()).await;
    assert_eq!(paid.status, 200);
    assert!(paid.text().starts_with("paid, id "));
    assert_eq!(paid.body, again.body);
    assert_eq!([&paid, &again].map(Answer::is_replayed), [false, true]);

    let output = run("redis", &["redis://127.0.0.1:1"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
