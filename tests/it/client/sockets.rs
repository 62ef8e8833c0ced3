//! The same misbehaviour of a real server, met by each client.

pub(crate) use std::time::Instant;

pub(crate) use tower_idempotency::client::{CallError, Failure, Key, RetryInfo, RetryPolicy, Stop};

pub(crate) use super::{
    faulty::{CREATED, Fault, Faulty, OK, UNAVAILABLE, deaf_address},
    script::{fixed, ms},
    shop::Shop,
};

/// What a client got.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) info: RetryInfo,
}

/// Writes the same tests for one client.
macro_rules! cases {
    ($client:ident, $send:ident) => {
        mod $client {
            use super::$send;
            use $crate::client::sockets::*;

            #[tokio::test]
            async fn is_answered_at_once() {
                let server = Faulty::start([OK]);
                let got = $send(&policy(), &server.url(), None).await.unwrap();
                assert_eq!(
                    (got.status, &*got.body, got.info.attempts()),
                    (200, "answer", 1)
                );
                assert_eq!(server.seen()[0].body, "order");
            }

            #[tokio::test]
            async fn tries_again_without_a_key_when_the_connection_was_refused() {
                let address = deaf_address();
                let server = std::sync::OnceLock::new();
                let policy = fixed()
                    .on_retry(move |event| {
                        assert_eq!(event.failure(), Failure::NotProcessed);
                        server.get_or_init(|| Faulty::start_at(address, [CREATED]));
                    })
                    .build()
                    .unwrap();
                let url = format!("http://{address}/charges");
                let got = $send(&policy, &url, None).await.unwrap();
                assert_eq!((got.status, got.info.attempts()), (201, 2));
            }

            #[tokio::test]
            async fn tries_again_under_the_key_what_broke_before_the_answer() {
                for fault in [
                    Fault::ResetBefore,
                    Fault::ResetAfter,
                    Fault::ResetInHead,
                    Fault::Close,
                ] {
                    let server = Faulty::start([fault.clone(), CREATED]);
                    let got = $send(&policy(), &server.url(), Some("order-1"))
                        .await
                        .unwrap();
                    assert_eq!((got.status, got.info.attempts()), (201, 2), "{fault:?}");
                    let seen = server.seen();
                    assert_eq!(seen.len(), 2, "{fault:?}");
                    assert_eq!(seen[1].key(), Some("order-1"));
                    assert_eq!(seen[1].body, "order");
                }
            }

            #[tokio::test]
            async fn does_not_try_again_without_a_key_what_broke_before_the_answer() {
                for fault in [
                    Fault::ResetBefore,
                    Fault::ResetAfter,
                    Fault::ResetInHead,
                    Fault::Close,
                ] {
                    let server = Faulty::start([fault.clone(), CREATED]);
                    let Err(error) = $send(&policy(), &server.url(), None).await else {
                        panic!("{fault:?}: a POST was sent again without a key");
                    };
                    assert_eq!(error.failure(), Failure::Ambiguous, "{fault:?}");
                    assert_eq!(error.info().unwrap().stop(), Stop::Unkeyed, "{fault:?}");
                    assert_eq!(server.seen().len(), 1, "{fault:?}");
                }
            }

            #[tokio::test]
            async fn gives_up_on_a_server_that_hangs_and_tries_again_under_a_key_of_its_own() {
                let server = Faulty::start([Fault::Hang, CREATED]);
                let policy = fixed()
                    .attempt_timeout(ms(300))
                    .idempotency_key(Key::UuidV7)
                    .build()
                    .unwrap();
                let got = $send(&policy, &server.url(), None).await.unwrap();
                assert_eq!((got.status, got.info.attempts()), (201, 2));
                let seen = server.seen();
                assert!(seen[0].key().is_some());
                assert_eq!(seen[0].key(), seen[1].key());
            }

            #[tokio::test]
            async fn waits_as_long_as_the_server_asks() {
                let busy = Fault::Answer("429 Too Many Requests\r\nretry-after: 1\r\n");
                let server = Faulty::start([busy, OK]);
                let start = Instant::now();
                let got = $send(&policy(), &server.url(), Some("order-1"))
                    .await
                    .unwrap();
                assert_eq!((got.status, got.info.slept()), (200, ms(1100)));
                assert!(start.elapsed() >= ms(1100));
            }

            #[tokio::test]
            async fn waits_for_a_call_under_way() {
                let under_way = Fault::Answer("409 Conflict\r\nretry-after: 0\r\n");
                let server = Faulty::start([under_way.clone(), under_way.clone(), CREATED]);
                let got = $send(&policy(), &server.url(), Some("order-1"))
                    .await
                    .unwrap();
                assert_eq!((got.status, got.info.attempts()), (201, 3));
                let server = Faulty::start([under_way, CREATED]);
                let got = $send(&policy(), &server.url(), None).await.unwrap();
                assert_eq!((got.status, got.info.stop()), (409, Stop::Permanent));
            }

            #[tokio::test]
            async fn gets_the_result_of_the_run_that_it_did_not_wait_for() {
                let shop = Shop::open().await;
                let (policy, failures) = shop.customer();
                let got = $send(&policy, &shop.url, None).await.unwrap();
                assert_eq!((got.status, &*got.body), (201, "charged"));
                assert_eq!(
                    *failures.lock().unwrap(),
                    [Failure::Ambiguous, Failure::UnderWay]
                );
                assert_eq!(shop.runs(), 1);
            }

            #[tokio::test]
            async fn returns_the_last_answer_whole_when_all_attempts_failed() {
                let server = Faulty::start([UNAVAILABLE]);
                let got = $send(&policy(), &server.url(), Some("order-1"))
                    .await
                    .unwrap();
                assert_eq!((got.status, &*got.body), (503, "answer"));
                assert_eq!((got.info.attempts(), got.info.stop()), (3, Stop::Attempts));
                assert_eq!(server.seen().len(), 3);
            }

            #[tokio::test]
            async fn sends_nothing_more_once_dropped() {
                let server = Faulty::start([UNAVAILABLE]);
                let (policy, url) = (policy(), server.url());
                let call = $send(&policy, &url, Some("order-1"));
                assert!(tokio::time::timeout(ms(150), call).await.is_err());
                tokio::time::sleep(ms(300)).await;
                assert_eq!(server.seen().len(), 2);
            }
        }
    };
}

/// What comes of a call whose connection was reset: an error, or an answer to the second attempt.
pub(crate) fn second_call_of(call: Result<RetryInfo, CallError>, attempts: u32) {
    match call {
        Ok(info) => assert_eq!(info.attempts(), attempts),
        Err(error) => {
            assert_eq!(error.failure(), Failure::Ambiguous);
            let info = error.info().unwrap();
            assert_eq!((info.attempts(), info.stop()), (attempts, Stop::Unkeyed));
        }
    }
}

pub(crate) fn policy() -> RetryPolicy {
    fixed().build().unwrap()
}

pub(super) use cases;
