//! The misbehaving server met by hyper-util's client.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_idempotency::client::{ReadAnswerLayer, RetryLayer};

use super::sockets::*;

async fn send(policy: &RetryPolicy, url: &str, key: Option<&str>) -> Result<Got, CallError> {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::post(url);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let service = RetryLayer::new(policy.clone());
    let service = ServiceBuilder::new().layer(service).service(client);
    let response = service
        .oneshot(request.body(Full::from("order")).unwrap())
        .await?;
    let status = response.status().as_u16();
    let info = RetryInfo::of(response.extensions());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    Ok(Got { status, body, info })
}

cases!(legacy_client, send);

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = Faulty::start([Fault::HalfBody, OK]);
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(ReadAnswerLayer::new(100))
        .service(client);
    let request = Request::post(server.url()).header("idempotency-key", "order-1");
    let response = service
        .oneshot(request.body(Full::from("order")).unwrap())
        .await
        .unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "answer");
    assert_eq!(server.seen()[1].key(), Some("order-1"));
}

#[tokio::test]
async fn a_reset_on_a_kept_connection_is_ambiguous() {
    for (key, attempts) in [("", 1), ("order-1", 2)] {
        let server = Faulty::start([Fault::AnswerThenReset, CREATED]);
        let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let client = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .service(client);
        let order = || Request::post(server.url()).header("idempotency-key", key);
        let order = || order().body(Full::from("order")).unwrap();
        let first = client.clone().oneshot(order()).await.unwrap();
        let body = first.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "answer");
        let second = client.oneshot(order()).await;
        second_call_of(second.map(|got| RetryInfo::of(got.extensions())), attempts);
        assert_eq!(server.seen().len(), 1 + attempts as usize);
    }
}

/// A body that is fetched from elsewhere, which refuses the connection half-way.
#[derive(Clone)]
struct Fetched {
    frames: u8,
}

impl Body for Fetched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames += 1;
        match self.frames {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"half"))))),
            // What came before is written meanwhile.
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(io::ErrorKind::ConnectionRefused.into()))),
        }
    }
}

#[tokio::test]
async fn what_refuses_the_body_is_not_the_server() {
    let server = Faulty::start([OK]);
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Fetched>();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .service(client);
    let request = Request::post(server.url()).body(Fetched { frames: 0 });
    let error = service.oneshot(request.unwrap()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Ambiguous);
    assert_eq!(error.info().unwrap().stop(), Stop::Unkeyed);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_not_tried_again() {
    let error = send(&policy(), "/charges", Some("order-1")).await;
    let Err(error) = error else {
        panic!("there is no server to ask");
    };
    assert_eq!(error.failure(), Failure::Permanent);
    let info = error.info().unwrap();
    assert_eq!((info.attempts(), info.stop()), (1, Stop::Permanent));
}
