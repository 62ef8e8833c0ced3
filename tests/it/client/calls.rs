//! Which calls are tried again, and what their caller gets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{Method, Version};
use tokio::time::{self, Instant};
use tower::{Service, ServiceExt};
use tower_idempotency::client::{
    Backoff, Failure, Jitter, RetryInfo, RetryLayer, RetryPolicy, Stop,
};
use tower_layer::Layer;
use tower_test::mock;

use super::script::{Answer, Client, fixed, info, keyed, ms, post, request, status, text, with};

#[tokio::test(start_paused = true)]
async fn a_keyed_call_is_tried_until_it_succeeds() {
    let client = Client::new(fixed(), [status(503), status(503), status(200)]);
    let response = client.call(keyed()).await;
    let info = info(&response);
    assert_eq!(
        (info.attempts(), info.slept(), info.stop()),
        (3, ms(200), Stop::Answered)
    );
    assert_eq!(text(response.unwrap()).await, "answer");
    assert_eq!(client.delays(), [ms(100), ms(100)]);
    assert_eq!(client.script.times(), [ms(0), ms(100), ms(200)]);
}

#[tokio::test(start_paused = true)]
async fn when_all_attempts_failed_the_last_answer_is_returned_itself() {
    let client = Client::new(
        fixed().max_attempts(3),
        [status(503), status(502), with(504, "x-node", "c")],
    );
    let response = client.call(keyed()).await;
    assert_eq!(info(&response).stop(), Stop::Attempts);
    let response = response.unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(response.headers()["x-node"], "c");
    assert_eq!(text(response).await, "answer");
    assert_eq!(client.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_failure_is_repeated_for_idempotent_methods_only() {
    for (method, attempts) in [
        (Method::GET, 2),
        (Method::HEAD, 2),
        (Method::PUT, 2),
        (Method::DELETE, 2),
        (Method::OPTIONS, 2),
        (Method::POST, 1),
        (Method::PATCH, 1),
    ] {
        let client = Client::new(fixed(), [status(503), status(200)]);
        let response = client.call(request(method.clone())).await;
        assert_eq!(client.requests(), attempts, "{method}");
        let stop = if attempts == 1 {
            Stop::Unkeyed
        } else {
            Stop::Answered
        };
        assert_eq!(info(&response).stop(), stop, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_again_even_for_a_post_without_a_key() {
    let client = Client::new(fixed(), [Answer::Refused, status(201)]);
    assert_eq!(client.status(post()).await, 201);
    assert_eq!(client.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_tried_again_only_under_a_key() {
    let client = Client::new(fixed(), [Answer::Reset, status(201)]);
    let error = client.call(post()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Ambiguous);
    assert_eq!(error.info().map(RetryInfo::stop), Some(Stop::Unkeyed));
    assert_eq!(client.requests(), 1);

    let client = Client::new(fixed(), [Answer::Reset, status(201)]);
    assert_eq!(client.status(keyed()).await, 201);
    assert_eq!(client.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_sends_the_same_request() {
    let client = Client::new(fixed(), [status(503), status(503), status(200)]);
    let mut request = keyed();
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.append("x-tag", "one".parse().unwrap());
    headers.append("x-tag", "two".parse().unwrap());
    headers.append(
        "x-opaque",
        http::HeaderValue::from_bytes(b"caf\xe9").unwrap(),
    );
    headers.append("x-empty", "".parse().unwrap());
    let mut secret: http::HeaderValue = "Bearer s3cr3t".parse().unwrap();
    secret.set_sensitive(true);
    headers.insert("authorization", secret);
    request.extensions_mut().insert(7_u8);
    client.call(request).await.unwrap();

    let seen = client.script.seen();
    assert_eq!(seen.len(), 3);
    for attempt in &seen {
        assert_eq!(attempt.head.method, seen[0].head.method);
        assert_eq!(attempt.head.uri, "http://shop.test/charges?a=b");
        assert_eq!(attempt.head.version, Version::HTTP_2);
        assert_eq!(attempt.head.headers, seen[0].head.headers);
        assert_eq!(attempt.head.headers.get_all("x-tag").iter().count(), 2);
        assert!(attempt.head.headers["authorization"].is_sensitive());
        assert!(!attempt.head.headers["x-tag"].is_sensitive());
        assert_eq!(attempt.head.extensions.get(), Some(&7_u8));
        assert_eq!(attempt.body, "order");
    }
}

#[tokio::test(start_paused = true)]
async fn every_form_of_request_target_survives_a_retry() {
    for target in [
        "/",
        "*",
        "/a?b=c",
        "http://h.test",
        "http://u@h.test:81/p?q",
        "h.test:443",
        "unix://h/p",
        "://h/p",
    ] {
        let client = Client::new(fixed(), [status(503), status(200)]);
        let mut request = request(Method::GET);
        *request.uri_mut() = target.parse().unwrap();
        client.call(request).await.unwrap();
        let seen = client.script.seen();
        assert_eq!(seen[1].head.uri, seen[0].head.uri, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replayed_failure_is_never_tried_again() {
    let client = Client::new(
        fixed(),
        [with(500, "idempotency-replayed", "true"), status(200)],
    );
    let response = client.call(keyed()).await;
    assert_eq!(info(&response).stop(), Stop::Replayed);
    assert_eq!(response.unwrap().status(), 500);
    assert_eq!(client.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_it_is_no_replay_is_none() {
    let client = Client::new(
        fixed(),
        [with(503, "idempotency-replayed", "false"), status(200)],
    );
    assert_eq!(client.status(keyed()).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_sleeps_sends_nothing_more() {
    let client = Client::new(fixed(), [status(503)]);
    let call = client.call(keyed());
    assert!(time::timeout(ms(150), call).await.is_err());
    time::sleep(ms(10_000)).await;
    assert_eq!(client.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_before_it_was_polled_again_sends_nothing_more() {
    let client = Client::new(fixed(), [Answer::Hang]);
    assert!(time::timeout(ms(150), client.call(keyed())).await.is_err());
    time::sleep(ms(10_000)).await;
    assert_eq!(client.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_polled_ready_before_every_attempt() {
    let (inner, mut handle) = mock::pair::<http::Request<String>, http::Response<()>>();
    let policy = fixed().build().unwrap();
    let mut service = RetryLayer::new(policy).layer(inner);
    handle.allow(1);
    let request = http::Request::put("/").body(String::new()).unwrap();
    let call = tokio::spawn(service.ready().await.unwrap().call(request));
    let busy = |send: mock::SendResponse<http::Response<()>>| {
        send.send_response(http::Response::builder().status(503).body(()).unwrap());
    };
    busy(handle.next_request().await.unwrap().1);

    time::sleep(ms(1000)).await;
    assert!(!call.is_finished(), "called before it was ready");
    handle.allow(1);
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(http::Response::new(()));
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn two_calls_on_one_service_start_anew() {
    let builder = fixed()
        .jitter(Jitter::Full)
        .max_attempts(3)
        .deadline(ms(5000))
        .seed(7);
    let client = Client::new(builder, [status(503)]);
    for _ in 0..2 {
        let start = Instant::now();
        let response = client.call(keyed()).await;
        assert_eq!(info(&response).stop(), Stop::Attempts);
        assert!(start.elapsed() < ms(1000));
        time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(client.requests(), 6);
    let delays = client.delays();
    assert_ne!(delays[..2], delays[2..]);
}

#[tokio::test(start_paused = true)]
async fn each_retry_is_told_of_before_its_pause() {
    let told = Arc::new(AtomicU32::new(0));
    let count = told.clone();
    let start = Instant::now();
    let client = Client::new(fixed(), [status(503), status(503), status(200)]);
    let policy = RetryPolicy::builder()
        .backoff(Backoff::fixed(ms(500)))
        .on_retry(move |event| {
            let before = count.fetch_add(1, Ordering::Relaxed);
            assert_eq!((event.attempt(), event.delay()), (before + 1, ms(500)));
            assert_eq!(event.failure(), Failure::Ambiguous);
            assert_eq!(event.cause().to_string(), "503 Service Unavailable");
            assert!(start.elapsed() <= before * ms(510));
        })
        .build()
        .unwrap();
    let service = RetryLayer::new(policy).layer(client.script.clone());
    service.oneshot(keyed()).await.unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_inner_retry_layers_report_is_not_taken_for_the_outer_ones() {
    let client = Client::new(
        fixed().max_attempts(3),
        [status(503), status(503), status(200)],
    );
    let outer = RetryLayer::new(fixed().build().unwrap());
    let response = outer
        .layer(client.service.clone())
        .oneshot(keyed())
        .await
        .unwrap();
    assert_eq!(client.requests(), 3);
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 1);
}
