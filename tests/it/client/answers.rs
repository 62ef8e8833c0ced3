//! Answers whose body is read inside the attempt.

use std::{
    convert::Infallible,
    error::Error,
    io, iter,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_idempotency::client::{
    BufferedBody, Failure, ReadAnswerLayer, RetryInfo, RetryLayer, Stop,
};

use super::script::{Answer, Reply, Script, fixed, half, keyed, ms, post, status};

/// Calls through a layer that reads answers up to so many bytes.
async fn whole(
    max_bytes: usize,
    answers: [Answer; 2],
) -> (Script, http::Response<BufferedBody<Reply>>) {
    let script = Script::new(answers);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .layer(ReadAnswerLayer::new(max_bytes))
        .service(script.clone());
    let response = service.oneshot(keyed()).await.unwrap();
    (script, response)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_asked_for_again_under_its_key() {
    let (script, response) = whole(100, [half(200), status(200)]).await;
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 2);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "answer"
    );
    let seen = script.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|attempt| attempt.key() == Some("order-1")));
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_is_streamed_and_its_end_is_the_callers() {
    let (script, response) = whole(2, [half(200), status(200)]).await;
    assert_eq!(script.seen().len(), 1);
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "ans"
    );
    assert!(body.frame().await.unwrap().is_err());
}

/// What was read ahead and what was not are both of the body.
#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_ends_with_its_last_frame() {
    for parts in [&["ans", "wer"][..], &["answer"]] {
        let inner = service_fn(move |_: Request<_>| async move {
            let frames = Frames(parts.iter().rev().copied().collect());
            Ok::<_, Infallible>(Response::new(frames))
        });
        let service = ReadAnswerLayer::new(2).layer(inner);
        let mut body = service.oneshot(post()).await.unwrap().into_body();
        for (number, part) in parts.iter().enumerate() {
            assert!(!body.is_end_stream(), "{parts:?}, {number}");
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), part);
        }
        assert!(body.is_end_stream(), "{parts:?}");
        assert!(body.frame().await.is_none());
    }
}

/// A body that knows when it ends.
struct Frames(Vec<&'static str>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.0.pop().map(Bytes::from);
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_end_of_what_was_read_ahead_is_not_the_end() {
    let (_, response) = whole(2, [half(200), status(200)]).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(!body.is_end_stream(), "an error is to come");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_from_a_service_that_was_ready() {
    // Called without having been asked, it panics.
    let limited = ConcurrencyLimit::new(Script::new([status(200)]), 1);
    let service = ReadAnswerLayer::new(100).layer(limited);
    assert_eq!(service.oneshot(post()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_was_not_unsent_whatever_its_error_says() {
    let inner = service_fn(|_: Request<_>| async {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let frames = iter::once(Err::<Frame<Bytes>, _>(refused));
        Ok::<_, io::Error>(Response::new(StreamBody::new(futures_util::stream::iter(
            frames,
        ))))
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .layer(ReadAnswerLayer::new(100))
        .service(inner);
    let error = service.oneshot(post()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Ambiguous);
    assert_eq!(error.info().unwrap().stop(), Stop::Unkeyed);
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), "the answer 200 OK broke off");
    assert!(source.source().unwrap().is::<io::Error>());
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_body_breaks_off_is_judged_by_its_head() {
    let later = || vec![("retry-after", "30".to_owned())];
    for status_ in [503, 409] {
        let (script, response) =
            whole(100, [Answer::HalfBody(status_, later()), status(201)]).await;
        assert_eq!(response.status(), 201);
        assert!(script.times()[1] >= ms(30_000), "{status_}");
    }
    let (script, response) = whole(100, [half(422), status(201)]).await;
    assert_eq!((response.status().as_u16(), script.seen().len()), (422, 1));
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "ans"
    );
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_is_not_waited_for() {
    let inner = service_fn(|_: Request<_>| async {
        let endless = StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, io::Error>,
        >());
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, io::Error>(response.body(endless).unwrap())
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(
            fixed().attempt_timeout(ms(5000)).build().unwrap(),
        ))
        .layer(ReadAnswerLayer::new(100))
        .service(inner);
    let response = service.oneshot(keyed()).await.unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 1);
}
