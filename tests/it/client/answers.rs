//! Answers whose body is read inside the attempt.

use std::{error::Error, io, iter};

use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{ServiceBuilder, ServiceExt, service_fn};
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

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_was_not_unsent_whatever_its_error_says() {
    let inner = service_fn(|_: Request<_>| async {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let frames = iter::once(Err::<Frame<bytes::Bytes>, _>(refused));
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
            Result<Frame<bytes::Bytes>, io::Error>,
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
