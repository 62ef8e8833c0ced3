use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, RequestBody, ResponseBody};

use crate::support::{
    faulty_store::{FaultyStore, Op},
    wire::{Answer, TestLayer, keyed, response, unkeyed},
};

/// Puts two layers on one store around a handler that tells how it was reached.
async fn twice(
    outer: fn(TestLayer) -> TestLayer,
    inner: fn(TestLayer) -> TestLayer,
) -> FaultyStore {
    let store = FaultyStore::default();
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = {
        let runs = Arc::clone(&runs);
        async move || (runs.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    };
    let layer = || IdempotencyLayer::new(store.clone());
    let router = Router::new()
        .route("/pay", post(handler))
        .layer(inner(layer()))
        .layer(outer(layer()));
    for replayed in [false, true, true] {
        let answer = Answer::read(router.clone().oneshot(keyed("key")).await.unwrap()).await;
        assert_eq!((answer.status, answer.text()), (200, "1"));
        assert_eq!(answer.is_replay(), replayed);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    store
}

#[tokio::test]
async fn of_two_layers_for_one_name_the_inner_one_passes_the_request_through() {
    let store = twice(|layer| layer, |layer| layer).await;
    assert_eq!(
        store.calls(),
        [Op::Claim, Op::Complete, Op::Claim, Op::Claim]
    );
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn two_layers_for_one_name_are_warned_about_once() {
    let (log, _guards) = crate::support::log::Log::capture();
    twice(|layer| layer, |layer| layer).await;
    let warnings = log.text().matches("twice around one handler").count();
    // Only the first of its three requests reached the inner layer; so does another's.
    assert_eq!(warnings, 1);

    let layer = IdempotencyLayer::new(FaultyStore::default());
    let router = Router::new()
        .route("/pay", post(async || "paid"))
        .layer(layer.clone())
        .layer(layer);
    for key in ["one", "two", "three"] {
        router.clone().oneshot(keyed(key)).await.unwrap();
    }
    let warnings = log.text().matches("twice around one handler").count();
    assert_eq!(warnings, 2);
}

#[tokio::test]
async fn two_layers_of_two_namespaces_both_work() {
    let store = twice(
        |layer| layer.namespace("outer"),
        |layer| layer.namespace("inner"),
    )
    .await;
    assert_eq!(
        store.calls(),
        [
            Op::Claim,
            Op::Claim,
            Op::Complete,
            Op::Complete,
            Op::Claim,
            Op::Claim
        ]
    );
}

#[tokio::test]
async fn a_layer_of_another_scope_works_inside() {
    let store = twice(
        |layer| layer,
        |layer| layer.scope(|_| Some(tower_idempotency::Scope::new("inner"))),
    )
    .await;
    assert_eq!(store.calls().len(), 6);
}

/// A body that knows what it is, and can be nothing else.
struct Own(&'static str);

impl http_body::Body for Own {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = std::mem::take(&mut self.0);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(Bytes::from(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(1);
        hint.set_upper(77);
        hint
    }
}

#[tokio::test]
async fn a_request_without_a_key_goes_through_with_its_own_body_and_unpolled() {
    let inner = service_fn(async |request: Request<RequestBody<Own>>| {
        assert!(request.extensions().get::<IdempotencyContext>().is_none());
        let hint = request.body().size_hint();
        assert_eq!(
            (hint.lower(), hint.upper()),
            (1, Some(77)),
            "the client's own size hint"
        );
        assert!(!request.body().is_end_stream());
        let mut body = request.into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "asked");
        assert!(body.is_end_stream());
        Ok::<_, Infallible>(Response::new(Own("answered")))
    });
    let store = FaultyStore::default();
    let mut service = IdempotencyLayer::new(store.clone()).layer(inner);
    let request = unkeyed().map(|_| Own("asked"));
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    let body: &ResponseBody<Own> = response.body();
    assert_eq!(
        (body.size_hint().lower(), body.size_hint().upper()),
        (1, Some(77))
    );
    assert!(!body.is_end_stream());
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "answered"
    );
    assert_eq!((store.calls(), store.listeners()), (vec![], 0));
}

#[tokio::test]
async fn a_body_whose_end_nobody_sees_is_forwarded_without_being_read() {
    let (_sender, body) = crate::support::bodies::streamed();
    let inner = service_fn(async |_: Request<RequestBody<Body>>| {
        Ok::<_, Infallible>(response(200, "not read"))
    });
    let service = IdempotencyLayer::new(FaultyStore::default()).layer(inner);
    let answer = service.oneshot(unkeyed().map(|_| body)).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_keyed_request_reaches_the_handler_whole_with_its_fields_and_trailers() {
    let inner = service_fn(async |request: Request<RequestBody<Body>>| {
        let (parts, body) = request.into_parts();
        assert_eq!(
            parts.headers["idempotency-key"], "\"key\"",
            "as the client sent it"
        );
        assert_eq!(
            parts.extensions.get(),
            Some(&42),
            "what outer layers put there"
        );
        assert_eq!(parts.uri, "http://shop.example/pay?x=1");
        let body = body.collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-end"], "1");
        Ok::<_, Infallible>(Response::new(Full::new(body.to_bytes())))
    });
    let service = IdempotencyLayer::new(FaultyStore::default()).layer(inner);
    let body = Full::new(Bytes::from("amount=1")).with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "1".parse().unwrap());
        Some(Ok(trailers))
    });
    let mut request = keyed("\"key\"").map(|_| Body::new(body));
    request.extensions_mut().insert(42);
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "amount=1"
    );
}

#[tokio::test]
async fn a_body_in_ten_thousand_pieces_reaches_the_handler_in_few_and_whole() {
    let pieces: Vec<_> = (0..10_000_u32)
        .map(|index| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![(index % 251) as u8]))))
        .collect();
    let sent: Vec<_> = (0..10_000_u32).map(|index| (index % 251) as u8).collect();
    let handler = service_fn(move |request: Request<RequestBody<_>>| {
        let sent = sent.clone();
        async move {
            let (mut body, mut received, mut frames) = (request.into_body(), Vec::new(), 0);
            while let Some(frame) = body.frame().await {
                received.extend_from_slice(&frame.unwrap().into_data().unwrap());
                frames += 1;
            }
            assert!(received == sent, "the bytes are others");
            Ok::<_, Infallible>(Response::new(Full::from(frames.to_string())))
        }
    });
    let service = IdempotencyLayer::new(FaultyStore::default()).layer(handler);
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let answer = service.oneshot(keyed("key").map(|_| body)).await.unwrap();
    let frames = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(frames, "2");
}
