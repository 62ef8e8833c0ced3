//! Bodies in many frames, with trailers behind them, in both directions.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode},
    routing::post,
};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::common::{
    rounds::{interleaved, send, single_threaded},
    variant::{Key, Variant, layer},
};

const ROUNDS: usize = 200;
const REQUESTS: u32 = 50;

/// How many frames a body has, and how many bytes a frame.
const SHAPES: [(usize, usize); 3] = [(1, 256), (16, 256), (16, 4096)];

pub(crate) fn print() {
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>8}",
        "streams with trailers", "bare ns", "no key", "first", "replay"
    );
    for (frames, length) in SHAPES {
        let variant =
            |router: Router, key| Variant::new("", router, key, move || stream_of(frames, length));
        let variants = [
            variant(router(frames, length), Key::None),
            variant(router(frames, length).layer(layer()), Key::None),
            variant(router(frames, length).layer(layer()), Key::Fresh),
            variant(router(frames, length).layer(layer()), Key::Same),
        ];
        let runtime = single_threaded();
        let times = interleaved(ROUNDS, &variants, |variant| {
            send(&runtime, variant, REQUESTS)
        });
        let [bare, no_key, first, replay] = &times[..] else {
            unreachable!("one for each variant")
        };
        println!(
            "{:<24} {:>8.0} {:>8.2} {:>8.2} {:>8.2}",
            format!("{frames} frames of {length} B"),
            bare.median() * 1e9,
            no_key.over(bare),
            first.over(bare),
            replay.over(bare),
        );
    }
}

/// Reads the request frame by frame, and answers with a body of the same shape.
fn router(frames: usize, length: usize) -> Router {
    let echo = async move |request: Request<Body>| {
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            assert!(frame.is_ok(), "a body in memory");
        }
        let mut response = Response::new(stream_of(frames, length));
        *response.status_mut() = StatusCode::CREATED;
        response
    };
    Router::new().route("/charge", post(echo))
}

fn stream_of(frames: usize, length: usize) -> Body {
    let data = Bytes::from(vec![b'x'; length]);
    let data = (0..frames).map(move |_| Frame::data(data.clone()));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = data.chain([Frame::trailers(trailers)]);
    Body::new(StreamBody::new(stream::iter(
        frames.map(Ok::<_, Infallible>),
    )))
}
