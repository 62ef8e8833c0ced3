//! Where the key of a call comes from.

use std::sync::atomic::{AtomicU32, Ordering};

use http::{HeaderName, HeaderValue, Method};
use tower_idempotency::client::{Key, RetryPolicyBuilder};
use uuid::{Uuid, Version};

use super::script::{Client, fixed, keyed, post, request, status};

/// The keys of one call that is answered 503, 503, 201.
async fn keys(client: &Client) -> Vec<String> {
    let before = client.requests();
    client
        .script
        .goes_on_with([status(503), status(503), status(201)]);
    client.call(post()).await.unwrap();
    let seen = client.script.seen();
    seen[before..]
        .iter()
        .map(|attempt| attempt.key().unwrap().to_owned())
        .collect()
}

fn generated(key: Key) -> RetryPolicyBuilder {
    fixed().idempotency_key(key)
}

#[tokio::test(start_paused = true)]
async fn a_generated_key_is_the_same_on_all_attempts_and_another_on_the_next_call() {
    for (key, version) in [
        (Key::UuidV4, Version::Random),
        (Key::UuidV7, Version::SortRand),
    ] {
        let client = Client::new(generated(key), [status(201)]);
        let (first, second) = (keys(&client).await, keys(&client).await);
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|key| *key == first[0]), "{first:?}");
        assert!(second.iter().all(|key| *key == second[0]), "{second:?}");
        assert_ne!(first[0], second[0]);
        assert_eq!(
            Uuid::parse_str(&first[0]).unwrap().get_version(),
            Some(version)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_version_seven_are_of_this_time_and_in_order() {
    let client = Client::new(generated(Key::UuidV7), [status(201)]);
    let first = keys(&client).await[0].clone();
    std::thread::sleep(std::time::Duration::from_millis(2));
    let second = keys(&client).await[0].clone();
    assert!(first < second);
    let (seconds, _) = Uuid::parse_str(&first)
        .unwrap()
        .get_timestamp()
        .unwrap()
        .to_unix();
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    assert!(now - seconds < 60);
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_key_is_kept() {
    let client = Client::new(generated(Key::UuidV4), [status(503), status(201)]);
    client.call(keyed()).await.unwrap();
    for attempt in client.script.seen() {
        assert_eq!(attempt.key(), Some("order-1"));
        assert_eq!(
            attempt
                .head
                .headers
                .get_all("idempotency-key")
                .iter()
                .count(),
            1
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_closure_makes_keys_once_per_call() {
    let made = AtomicU32::new(0);
    let key = Key::from_fn(move || HeaderValue::from(made.fetch_add(1, Ordering::Relaxed)));
    let client = Client::new(generated(key), [status(201)]);
    assert_eq!(keys(&client).await, ["0", "0", "0"]);
    assert_eq!(keys(&client).await, ["1", "1", "1"]);
}

#[tokio::test(start_paused = true)]
async fn no_key_is_made_unless_asked_for() {
    let client = Client::new(fixed(), [status(503), status(201)]);
    assert_eq!(client.status(post()).await, 503);
    assert_eq!(client.script.seen()[0].key(), None);
}

#[tokio::test(start_paused = true)]
async fn safe_methods_get_no_key() {
    for (method, is_keyed) in [
        (Method::GET, false),
        (Method::HEAD, false),
        (Method::OPTIONS, false),
        (Method::TRACE, false),
        (Method::POST, true),
        (Method::PUT, true),
        (Method::PATCH, true),
        (Method::DELETE, true),
    ] {
        let client = Client::new(generated(Key::UuidV4), [status(200)]);
        client.call(request(method.clone())).await.unwrap();
        assert_eq!(
            client.script.seen()[0].key().is_some(),
            is_keyed,
            "{method}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_goes_into_the_header_that_was_chosen() {
    let name = HeaderName::from_static("x-idempotency-key");
    let client = Client::new(
        generated(Key::UuidV4).key_header(name.clone()),
        [status(503), status(201)],
    );
    assert_eq!(client.status(post()).await, 201);
    for attempt in client.script.seen() {
        assert!(attempt.head.headers.contains_key(&name));
        assert_eq!(attempt.key(), None);
    }
    let client = Client::new(fixed().key_header(name), [status(503), status(201)]);
    assert_eq!(
        client.status(keyed()).await,
        503,
        "another header is no key"
    );
}

#[tokio::test(start_paused = true)]
async fn no_key_shows_in_debug_output() {
    let client = Client::new(generated(Key::UuidV4), [status(503)]);
    let response = client.call(keyed()).await.unwrap();
    assert!(!format!("{:?} {response:?}", client.service).contains("order-1"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_key_is_replaced_by_a_made_one() {
    let client = Client::new(generated(Key::UuidV4), [status(503), status(201)]);
    let mut request = post();
    let headers = request.headers_mut();
    headers.insert("idempotency-key", HeaderValue::from_static(" "));
    assert_eq!(client.status(request).await, 201);
    let seen = client.script.seen();
    assert_eq!(seen[0].key().map(str::len), Some(36));
    assert_eq!(seen[1].key(), seen[0].key());
}

#[tokio::test(start_paused = true)]
async fn an_empty_key_is_none() {
    for empty in ["", " "] {
        let client = Client::new(fixed(), [status(503), status(201)]);
        let mut request = post();
        let key = HeaderValue::from_static(empty);
        request.headers_mut().insert("idempotency-key", key);
        assert_eq!(client.status(request).await, 503, "{empty:?}");
        assert_eq!(client.requests(), 1);
    }
}
