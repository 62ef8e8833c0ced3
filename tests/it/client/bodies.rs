//! Bodies that can be sent once, and bodies that are read ahead.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt};
use tower_idempotency::client::{
    BufferLayer, BufferedBody, Failure, RepeatBody, RetryInfo, RetryLayer, Stop,
};
use tower_layer::Layer;
use tower_test::mock;

use super::script::{Answer, Client, Script, fixed, keyed, ms, status};

/// A body that streams and is not `Clone`; it counts how often it is polled.
#[derive(Default)]
struct Stream {
    frames: Vec<Result<Frame<Bytes>, io::Error>>,
    polled: Arc<AtomicUsize>,
    length: Option<u64>,
}

impl Stream {
    fn of(parts: &[&'static str]) -> Self {
        let frames = parts
            .iter()
            .map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
        Self {
            frames: frames.rev().collect(),
            ..Self::default()
        }
    }

    fn then(mut self, frame: Result<Frame<Bytes>, io::Error>) -> Self {
        self.frames.insert(0, frame);
        self
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // Pending every other time, as a network is.
        if self.polled.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.pop())
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn keyed_with<B>(body: B) -> Request<B> {
    keyed().map(|_| body)
}

#[tokio::test(start_paused = true)]
async fn a_streaming_body_is_sent_once_whole_and_its_answer_returned() {
    let client = Client::new(fixed(), [status(503), status(200)]);
    let request = keyed_with(BufferedBody::once(Stream::of(&["or", "der"])));
    let response = client.service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    let info = RetryInfo::of(response.extensions());
    assert_eq!(
        (info.attempts(), info.stop(), info.slept()),
        (1, Stop::Body, ms(0))
    );
    assert_eq!(client.script.seen()[0].body, "order");
    assert_eq!(client.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_body_whose_call_fails_says_so_in_the_error() {
    let client = Client::new(fixed(), [Answer::Refused]);
    let request = keyed_with(BufferedBody::once(Stream::of(&["order"])));
    let error = client.service.clone().oneshot(request).await.unwrap_err();
    assert_eq!(error.info().unwrap().stop(), Stop::Body);
    assert_eq!(
        error.to_string(),
        "no answer after 1 attempt (its body can be sent only once)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_streaming_body_that_succeeds_needs_no_excuse() {
    let client = Client::new(fixed(), [status(201)]);
    let request = keyed_with(BufferedBody::once(Stream::of(&["order"])));
    let response = client.service.clone().oneshot(request).await.unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).stop(), Stop::Answered);
}

/// Sends a stream through a buffer of eight bytes to a service that answers 503, 200.
async fn buffered(stream: Stream) -> (Script, RetryInfo) {
    let script = Script::new([status(503), status(200)]);
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .service(script.clone());
    let response = service.oneshot(keyed_with(stream)).await.unwrap();
    (script, RetryInfo::of(response.extensions()))
}

#[tokio::test(start_paused = true)]
async fn a_stream_within_the_buffer_is_sent_again() {
    for parts in [
        &["or", "der"][..],
        &["order"],
        &["", "order", ""],
        &["order", "123"],
    ] {
        let (script, info) = buffered(Stream::of(parts)).await;
        assert_eq!(info.attempts(), 2);
        assert!(
            script
                .seen()
                .iter()
                .all(|attempt| attempt.body == parts.concat())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_the_buffer_is_sent_once_and_whole() {
    for parts in [
        &["order", "1234"][..],
        &["123456789"],
        &["12345678", "9", "10"],
    ] {
        let (script, info) = buffered(Stream::of(parts)).await;
        assert_eq!((info.attempts(), info.stop()), (1, Stop::Body), "{parts:?}");
        assert_eq!(script.seen()[0].body, parts.concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_it_is_too_long_is_not_read_ahead() {
    let stream = Stream {
        length: Some(9),
        ..Stream::of(&["123456789"])
    };
    let polled = stream.polled.clone();
    let seen = polled.clone();
    let inner = tower::service_fn(move |request: Request<BufferedBody<Stream>>| {
        assert_eq!(seen.load(Ordering::Relaxed), 0);
        assert_eq!(request.body().size_hint().exact(), Some(9));
        assert!(request.body().repeat().is_none());
        async { Ok::<_, io::Error>(http::Response::new(())) }
    });
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .service(inner);
    service.oneshot(keyed_with(stream)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_buffer_calls_the_service_that_was_polled_ready() {
    type Sent = Request<BufferedBody<Stream>>;
    let (inner, mut handle) = mock::pair::<Sent, http::Response<()>>();
    handle.allow(1);
    // The mock panics when a clone is called that was not polled ready itself.
    let service = BufferLayer::new(8).layer(inner);
    let call = tokio::spawn(service.oneshot(keyed_with(Stream::of(&["or", "der"]))));
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(http::Response::new(()));
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_fails_in_the_client_as_it_would_without_the_buffer() {
    let stream = Stream::of(&["or"]).then(Err(io::Error::other("torn")));
    let inner = tower::service_fn(|request: Request<BufferedBody<Stream>>| async {
        let mut body = request.into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "or");
        assert!(!body.is_end_stream());
        Err::<http::Response<()>, _>(body.frame().await.unwrap().unwrap_err())
    });
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .service(inner);
    let error = service.oneshot(keyed_with(stream)).await.unwrap_err();
    assert_eq!(error.to_string(), "torn");
}

#[tokio::test(start_paused = true)]
async fn a_buffered_body_keeps_its_trailers_on_every_attempt() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "5".parse().unwrap());
    let stream = Stream::of(&["order"]).then(Ok(Frame::trailers(trailers.clone())));
    let script = Script::new([status(503), status(200)]);
    let inner = tower::service_fn(move |request: Request<BufferedBody<Stream>>| {
        let mut script = script.clone();
        let trailers = trailers.clone();
        async move {
            // HTTP/1 has no trailers after a body of known length.
            let hint = request.body().size_hint();
            assert_eq!((hint.lower(), hint.upper()), (5, None));
            let (head, mut body) = request.into_parts();
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(!body.is_end_stream(), "the trailers wait");
            let last = body
                .frame()
                .await
                .unwrap()
                .unwrap()
                .into_trailers()
                .unwrap();
            assert_eq!(last, trailers);
            assert!(body.is_end_stream());
            tower::Service::call(&mut script, Request::from_parts(head, Full::new(data))).await
        }
    });
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .service(inner);
    let response = service.oneshot(keyed_with(stream)).await.unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_body_shares_its_bytes() {
    let data = Bytes::from("order".repeat(1000));
    let at = data.as_ptr();
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| async move {
        let mut body = request.into_body();
        let sent = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(sent.into_data().unwrap().as_ptr(), at);
        let response = http::Response::builder().status(503).body(());
        Ok::<_, io::Error>(response.unwrap())
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(fixed().build().unwrap()))
        .service(inner);
    let response = service.oneshot(keyed_with(Full::new(data))).await.unwrap();
    assert_eq!(RetryInfo::of(response.extensions()).attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn empty_frames_cost_a_buffered_body_no_copy() {
    let stream = Stream::of(&["", "order", "", ""]);
    let Some(Ok(order)) = stream.frames.get(2) else {
        panic!("the frames are in reverse");
    };
    let at = order.data_ref().unwrap().as_ptr();
    let inner = tower::service_fn(move |request: Request<BufferedBody<Stream>>| async move {
        let mut body = request.into_body();
        let sent = body.frame().await.unwrap()?.into_data().unwrap();
        assert_eq!((&*sent, sent.as_ptr()), (&b"order"[..], at));
        Ok::<_, io::Error>(http::Response::new(()))
    });
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .service(inner);
    service.oneshot(keyed_with(stream)).await.unwrap();
}

/// A body that can be made anew so many times, as one that is read from a file until that is gone.
#[derive(Debug)]
struct Counted {
    left: AtomicUsize,
    body: Full<Bytes>,
}

impl RepeatBody for Counted {
    fn repeat(&self) -> Option<Self> {
        let left = self.left.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Self {
            left: AtomicUsize::new(left),
            body: self.body.clone(),
        })
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_body_is_used_up_is_judged_all_the_same() {
    let script = Script::new([Answer::Reset, Answer::Refused]);
    let service = RetryLayer::new(fixed().build().unwrap()).layer(script.clone());
    let body = Counted {
        left: AtomicUsize::new(1),
        body: Full::from("order"),
    };
    let error = service.oneshot(keyed_with(body)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Ambiguous);
    let info = error.info().unwrap();
    assert_eq!((info.attempts(), info.stop()), (2, Stop::Body));
    assert_eq!(script.seen().len(), 2);
}
