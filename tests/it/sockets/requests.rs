//! Requests that come slowly, in part, or one right after the other.

use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tower_idempotency::{Drain, IdempotencyLayer};

use crate::support::sockets::{
    Client, Gate, PATIENCE, Probe, Server, Staged, Step, Version, app, gated, keyed,
};

struct Served {
    probe: Probe,
    drain: Drain,
    server: Server,
}

async fn serve(max_in_flight: usize) -> Served {
    let probe = Probe::default();
    let layer = IdempotencyLayer::new(Staged::new(&probe))
        .max_in_flight(max_in_flight)
        .wait(PATIENCE);
    let drain = layer.drain_handle();
    let handler = gated(&probe, &Gate::new_open());
    let server = Server::start(app(&probe, layer, handler)).await;
    Served {
        probe,
        drain,
        server,
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address).await.unwrap()
    }

    /// Writes a request to `/` as HTTP/1 has it, with a body of six bytes.
    fn request(&self, key: &str) -> String {
        let host = self.server.address;
        format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nIdempotency-Key: {key}\r\nContent-Length: 6\r\n\
             \r\n123456"
        )
    }
}

#[tokio::test]
async fn a_slow_upload_holds_neither_a_claim_nor_a_permit() {
    let served = serve(1).await;
    let request = served.request("a");
    let (head, body) = request.split_at(request.len() - 6);
    let mut slow = served.connect().await;
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut client = Client::connect(served.server.address, Version::Http1).await;
    for (index, byte) in body.chars().enumerate() {
        // The only permit is free for another, and the slow one's key is too.
        assert_eq!(client.post(&format!("other-{index}")).await.status, 200);
        assert_eq!(served.drain.in_flight(), 0);
        assert_eq!(served.probe.count(Step::ClaimBegins), index + 1);
        slow.write_all(&[byte as u8]).await.unwrap();
    }
    served.probe.until(Step::HandlerEnds, 7).await;
    assert_eq!(served.probe.runs("a"), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_claims_nothing_and_the_next_request_runs() {
    let served = serve(1).await;
    let request = served.request("a");
    for cut in 1..=6 {
        let mut broken = served.connect().await;
        let sent = &request.as_bytes()[..request.len() - cut];
        broken.write_all(sent).await.unwrap();
        broken.shutdown().await.unwrap();
        // The server has seen the end when it closes, whatever it answers.
        let mut answer = String::new();
        let closed = timeout(PATIENCE, broken.read_to_string(&mut answer)).await;
        closed.expect("the server closes").unwrap();
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(served.probe.count(Step::ClaimBegins), 0);
    assert_eq!(served.drain.in_flight(), 0);
    let mut client = Client::connect(served.server.address, Version::Http1).await;
    let whole = keyed("a").body("123456".into()).unwrap();
    assert_eq!(client.send(whole).await.text(), "run 1 of a");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_run_once() {
    let served = serve(8).await;
    let mut pipeline = served.connect().await;
    let keys = ["a", "b", "a", "b"];
    let requests: String = keys.iter().map(|key| served.request(key)).collect();
    pipeline.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    let read = async {
        while answers.matches("run 1 of").count() < keys.len() {
            let mut some = [0; 1024];
            let len = pipeline.read(&mut some).await.unwrap();
            assert!(len > 0, "{answers}");
            answers += std::str::from_utf8(&some[..len]).unwrap();
        }
    };
    timeout(PATIENCE, read).await.expect("all answers");
    let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
    for (index, (answer, key)) in answers.iter().zip(keys).enumerate() {
        assert!(answer.starts_with("200") && answer.ends_with(&format!("run 1 of {key}")));
        assert_eq!(
            answer.contains("idempotency-replayed: true"),
            index >= 2,
            "{answer}"
        );
    }
    assert_eq!(served.probe.count(Step::HandlerEnds), 2);
}

#[tokio::test]
async fn pipelined_requests_of_a_client_that_leaves_run_once() {
    let served = serve(8).await;
    let mut pipeline = served.connect().await;
    let requests = served.request("a") + &served.request("b");
    pipeline.write_all(requests.as_bytes()).await.unwrap();
    served.probe.until(Step::HandlerBegins, 1).await;
    drop(pipeline);
    let mut client = Client::connect(served.server.address, Version::Http1).await;
    for key in ["a", "b"] {
        let request = keyed(key).body("123456".into()).unwrap();
        assert_eq!(client.send(request).await.text(), format!("run 1 of {key}"));
    }
    assert_eq!(served.drain.drain(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn a_request_over_http1_and_again_over_http2_is_one() {
    let served = serve(8).await;
    // Fields that HTTP/2 may split or write in other ways; the client sends them as the version
    // has it.
    let request = |version: Version| {
        let mut request = Request::post("/?a=%2F&b").header("idempotency-key", "\"a\"");
        let cookies: &[&str] = match version {
            Version::Http1 => &["a=1; b=2"],
            Version::Http2 => &["a=1", "b=2"],
        };
        for cookie in cookies {
            request = request.header("cookie", *cookie);
        }
        request.body("body".into()).unwrap()
    };
    let mut replays = Vec::new();
    for version in [Version::Http1, Version::Http2, Version::Http1] {
        let mut client = Client::connect(served.server.address, version).await;
        let answer = client.send(request(version)).await;
        assert_eq!(answer.text(), "run 1 of a", "{version:?}");
        replays.push(answer.is_replayed());
    }
    assert_eq!(replays, [false, true, true]);
}
