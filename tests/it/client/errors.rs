//! What a call that got no answer tells.

use std::{error::Error, io};

use tower::{ServiceExt, service_fn};
use tower_idempotency::client::{Failure, RetryLayer, Stop};
use tower_layer::Layer;

use super::script::{Answer, Client, fixed, keyed, ms};

#[tokio::test(start_paused = true)]
async fn the_last_error_is_returned_with_how_the_call_went() {
    let client = Client::new(fixed(), [Answer::Reset]);
    let error = client.call(keyed()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer after 3 attempts (all attempts were made)"
    );
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
    let info = error.info().unwrap();
    assert_eq!(
        (info.attempts(), info.slept(), info.stop()),
        (3, ms(200), Stop::Attempts)
    );
    assert!(!error.is_timeout());
    assert!(error.into_source().is::<io::Error>());
}

#[derive(Clone)]
struct NeverReady;

impl tower::Service<http::Request<String>> for NeverReady {
    type Response = http::Response<()>;
    type Error = io::Error;
    type Future = std::future::Pending<io::Result<http::Response<()>>>;

    fn poll_ready(&mut self, _cx: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Err(io::Error::other("closed")))
    }

    fn call(&mut self, _request: http::Request<String>) -> Self::Future {
        unreachable!("never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_no_attempt() {
    let service = RetryLayer::new(fixed().build().unwrap()).layer(NeverReady);
    let error = service
        .oneshot(http::Request::new(String::new()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the client is not ready");
    assert_eq!(error.info(), None);
    assert_eq!(error.failure(), Failure::NotProcessed);
    assert_eq!(error.into_source().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn an_event_tells_the_error_with_its_sources() {
    let policy = fixed()
        .on_retry(|event| {
            assert_eq!(event.failure(), Failure::NotProcessed);
            assert_eq!(event.cause().to_string(), "connection refused");
        })
        .build()
        .unwrap();
    let service = service_fn(|_: http::Request<()>| async {
        Err::<http::Response<()>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let error = RetryLayer::new(policy)
        .layer(service)
        .oneshot(http::Request::new(()))
        .await;
    assert_eq!(error.unwrap_err().info().unwrap().attempts(), 3);
}
