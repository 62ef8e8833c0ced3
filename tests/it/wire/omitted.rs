use std::pin::pin;

use axum::body::Body;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;

use crate::support::{
    bodies::{BrokenBody, End, chunked, data, streamed},
    faulty_store::Op,
    wire::{Answer, TestLayer, Wire, defaults, gives, keyed, response},
};

fn at_most_eight(layer: TestLayer) -> TestLayer {
    layer.max_response_bytes(8)
}

/// Sets the layer before a handler of one answer, which is made for each of the two services.
fn giving(setup: impl Fn(TestLayer) -> TestLayer, make: impl Fn() -> Response<Body>) -> [Wire; 2] {
    [false, true].map(|router| Wire::of(router, &setup, gives(make())))
}

fn typed(content_type: &str, body: Body) -> Response<Body> {
    let mut response = response(200, body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    response
}

#[track_caller]
fn assert_omitted(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.text()), (status, ""), "{answer:?}");
    assert!(answer.is_replay());
    assert_eq!(answer.header("idempotency-replay"), Some("omitted"));
}

/// A body, its text, and whether it is recorded.
type Row = (fn() -> Body, &'static str, bool);

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_recorded_and_one_byte_more_is_omitted() {
    let bodies: [Row; 7] = [
        (|| Body::from("1234567"), "1234567", true),
        (|| Body::from("12345678"), "12345678", true),
        (|| Body::from("123456789"), "123456789", false),
        (|| chunked(&["123", "4567"], End::Clean), "1234567", true),
        (
            || chunked(&["1234", "5678", ""], End::Clean),
            "12345678",
            true,
        ),
        (
            || chunked(&["1234", "5678", "9"], End::Clean),
            "123456789",
            false,
        ),
        (
            || chunked(&["1234", "56789", "0"], End::Trailer("x-end", "1")),
            "1234567890",
            false,
        ),
    ];
    for (make, text, recorded) in bodies {
        for wire in giving(at_most_eight, || response(200, make())) {
            let first = wire.send(keyed("key")).await;
            assert_eq!(
                (first.status, first.text()),
                (200, text),
                "the first client gets it whole"
            );
            assert_eq!(first.trailers.is_some(), text.len() == 10);
            assert_eq!(first.header("idempotency-replay"), None);
            let replay = wire.send(keyed("key")).await;
            if recorded {
                assert_eq!((replay.text(), replay.is_replay()), (text, true));
                assert_eq!(replay.header("idempotency-replay"), None);
            } else {
                assert_omitted(&replay, 200);
            }
            assert_eq!(wire.runs(), 1);
        }
    }
}

#[tokio::test]
async fn the_default_limit_of_a_response_body_is_one_mebibyte() {
    for (length, omitted) in [(1_048_576, None), (1_048_577, Some("omitted"))] {
        for wire in giving(defaults, || response(200, vec![b'x'; length])) {
            assert_eq!(wire.send(keyed("key")).await.body.len(), length);
            let replay = wire.send(keyed("key")).await;
            assert_eq!(replay.header("idempotency-replay"), omitted);
        }
    }
}

#[tokio::test]
async fn a_replay_without_its_body_leaves_out_the_fields_that_describe_it() {
    const DESCRIBING: [&str; 12] = [
        "content-type",
        "content-encoding",
        "content-language",
        "content-range",
        "content-disposition",
        "content-digest",
        "content-md5",
        "repr-digest",
        "digest",
        "etag",
        "last-modified",
        "trailer",
    ];
    const OTHERS: [&str; 6] = [
        "location",
        "cache-control",
        "content-location",
        "vary",
        "link",
        "x-custom",
    ];
    let make = || {
        let mut response = response(201, "longer than eight");
        for name in DESCRIBING
            .into_iter()
            .chain(OTHERS)
            .chain(["set-cookie", "date"])
        {
            let name = HeaderName::from_static(name);
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static("value"));
        }
        response
    };
    for wire in giving(at_most_eight, make) {
        let first = wire.send(keyed("key")).await;
        assert!(
            DESCRIBING
                .iter()
                .chain(&OTHERS)
                .all(|name| first.header(name) == Some("value"))
        );
        let mut replay = wire.send(keyed("key")).await;
        assert_omitted(&replay, 201);
        for name in [
            "idempotency-replayed",
            "idempotency-replay",
            "content-length",
        ] {
            replay.headers.remove(name);
        }
        let mut left: Vec<_> = replay.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let mut others = OTHERS;
        others.sort_unstable();
        assert_eq!(left, others);
    }
}

#[tokio::test]
async fn an_event_stream_is_streamed_at_once_and_omitted() {
    for content_type in [
        "text/event-stream",
        "text/event-stream;charset=utf-8",
        "Text/Event-Stream ; charset=utf-8",
    ] {
        for router in [false, true] {
            let (sender, body) = streamed();
            let handler = gives(typed(content_type, body));
            let wire = Wire::of(router, defaults, handler);
            let mut first = wire.respond(keyed("key")).await.into_body();
            assert_omitted(&wire.send(keyed("key")).await, 200);
            for event in ["data: 0", "data: 1"] {
                sender.send(data(event)).unwrap();
                let frame = first.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), event);
            }
            drop(sender);
            assert!(first.frame().await.is_none());
            assert_eq!(wire.runs(), 1);
        }
    }
}

#[tokio::test]
async fn another_type_that_begins_alike_is_no_event_stream() {
    for wire in giving(defaults, || typed("text/event-streams", Body::from("data"))) {
        wire.send(keyed("key")).await;
        assert_eq!(wire.send(keyed("key")).await.text(), "data");
    }
}

#[tokio::test]
async fn an_upgrade_is_passed_on_once_and_cannot_be_replayed() {
    let make = || {
        let mut response = response(101, "");
        response
            .headers_mut()
            .insert(header::UPGRADE, "websocket".parse().unwrap());
        response
            .headers_mut()
            .insert(header::CONNECTION, "upgrade".parse().unwrap());
        response
    };
    for wire in giving(defaults, make) {
        let first = wire.send(keyed("key")).await;
        assert_eq!(
            (first.status, first.header("upgrade")),
            (101, Some("websocket"))
        );
        wire.send(keyed("key"))
            .await
            .assert_refused("not-replayable");
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test]
async fn a_long_body_is_streamed_as_soon_as_it_is_over_the_limit() {
    for router in [false, true] {
        let (sender, body) = streamed();
        let handler = gives(response(200, body));
        let wire = Wire::of(router, at_most_eight, handler);
        let mut first = pin!(wire.respond(keyed("key")));
        sender.send(data("12345678")).unwrap();
        assert!(
            first.as_mut().now_or_never().is_none(),
            "the body may yet be short enough"
        );
        assert_eq!(wire.drain.in_flight(), 1);
        sender.send(data("9")).unwrap();
        let mut first = first.await.into_body();
        assert_eq!(wire.drain.in_flight(), 0, "the permit ends here");
        assert_eq!(wire.store.calls(), [Op::Claim, Op::Complete]);
        assert_omitted(&wire.send(keyed("key")).await, 200);

        assert!(!first.is_end_stream());
        assert_eq!(first.size_hint().lower(), 9);
        assert_eq!(first.size_hint().exact(), None);
        for chunk in ["12345678", "9", "later"] {
            if chunk == "later" {
                sender.send(data(chunk)).unwrap();
            }
            let frame = first.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), chunk);
        }
        sender.send(Ok(Frame::trailers(HeaderMap::new()))).unwrap();
        assert!(first.frame().await.unwrap().unwrap().is_trailers());
        sender.send(Err(BrokenBody)).unwrap();
        assert!(
            first.frame().await.unwrap().is_err(),
            "the client sees that it broke off"
        );
        assert_omitted(&wire.send(keyed("key")).await, 200);
        assert_eq!(wire.runs(), 1);
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_read_before_its_head_is_sent() {
    /// Says that nine bytes follow, and never gives one.
    struct Announced;
    impl http_body::Body for Announced {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<bytes::Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(9)
        }
    }
    for wire in giving(at_most_eight, || response(200, Body::new(Announced))) {
        let first = wire.respond(keyed("key")).await;
        assert_eq!(
            first.body().size_hint().exact(),
            Some(9),
            "as without the layer"
        );
        assert_omitted(&wire.send(keyed("key")).await, 200);
    }
}

#[tokio::test]
async fn a_long_answer_that_did_nothing_is_released_and_one_that_may_have_is_unknown() {
    for (status, settlement) in [(503, Op::Release), (500, Op::Abandon)] {
        for wire in giving(at_most_eight, || response(status, "longer than eight")) {
            assert_eq!(wire.send(keyed("key")).await.text(), "longer than eight");
            assert_eq!(wire.store.calls(), [Op::Claim, settlement]);
            assert_eq!(wire.send(keyed("key")).await.status, 299);
        }
    }
}
