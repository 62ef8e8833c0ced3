//! The layer as a whole, around any handler with any body: what the first client got, the next gets
//! too, as far as it was recorded, and nothing hangs.
#![no_main]

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use arbitrary::Arbitrary;
use bytes::Bytes;
use fuzz::block_on;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use tower_idempotency::{IdempotencyLayer, MemoryStore, RequestBody, UnknownOutcome};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Arbitrary, Debug, Clone)]
enum Part {
    Data(Vec<u8>),
    Much(u8),
    Trailer(Vec<u8>, Vec<u8>),
    NotYet,
    Breaks,
}

#[derive(Arbitrary, Debug)]
struct Input {
    request: Vec<Part>,
    max_request: u16,
    max_response: u16,
    refuse: bool,
    record_all: bool,
    fails: bool,
    status: u16,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    response: Vec<Part>,
}

struct Parts(VecDeque<Part>);

impl Body for Parts {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(match self.0.pop_front() {
            None => None,
            Some(Part::Data(data)) => Some(Ok(Frame::data(data.into()))),
            Some(Part::Much(length)) => {
                Some(Ok(Frame::data(vec![b'x'; usize::from(length) * 64].into())))
            }
            Some(Part::Trailer(name, value)) => {
                let mut trailers = HeaderMap::new();
                if let (Ok(name), Ok(value)) = (
                    HeaderName::from_bytes(&name),
                    HeaderValue::from_bytes(&value),
                ) {
                    trailers.insert(name, value);
                }
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Part::NotYet) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Part::Breaks) => Some(Err("it breaks")),
        })
    }
}

#[derive(Clone)]
struct Handler {
    fails: bool,
    head: Response<()>,
    body: VecDeque<Part>,
    runs: Arc<AtomicUsize>,
}

impl Service<Request<RequestBody<Parts>>> for Handler {
    type Response = Response<Parts>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Parts>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Parts>>) -> Self::Future {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let mut response = self.head.clone().map(|()| Parts(self.body.clone()));
        if self.fails {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        ready(Ok(response))
    }
}

/// The fields of one connection, of one moment, or of one client: no replay has them.
const NEVER_REPLAYED: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "transfer-encoding",
    "upgrade",
    "date",
    "set-cookie",
    "content-length",
];

fuzz_target!(|input: Input| {
    let mut head = Response::new(());
    if let Ok(status) = StatusCode::from_u16(input.status) {
        *head.status_mut() = status;
    }
    for (name, value) in input.headers.iter().take(50) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            head.headers_mut().append(name, value);
        }
    }
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = Handler {
        fails: input.fails,
        head,
        body: input.response.into(),
        runs: Arc::clone(&runs),
    };
    let store = Arc::new(MemoryStore::new());
    let mut layer = IdempotencyLayer::new(Arc::clone(&store))
        .max_request_bytes(input.max_request.into())
        .max_response_bytes(input.max_response.into());
    if input.refuse {
        layer = layer.unknown_outcome(UnknownOutcome::Refuse);
    }
    if input.record_all {
        layer = layer.record_all();
    }
    let drain = layer.drain_handle();
    let mut service = layer.layer(handler);
    block_on(async {
        let mut told = Vec::new();
        for _ in 0..2 {
            let mut request = Request::new(Parts(input.request.clone().into()));
            *request.method_mut() = http::Method::POST;
            let key = HeaderValue::from_static("k");
            request.headers_mut().insert("idempotency-key", key);
            let response = service.call(request).await.unwrap();
            let (head, body) = response.into_parts();
            let body = body.collect().await.map(|body| {
                // Nobody can tell no trailers from none in a frame.
                let mut trailers = body.trailers().cloned().unwrap_or_default();
                for name in NEVER_REPLAYED {
                    trailers.remove(name);
                }
                (body.to_bytes(), trailers)
            });
            told.push((head, body));
        }
        let (second, second_body) = told.pop().unwrap();
        let (first, first_body) = told.pop().unwrap();
        if second.headers.contains_key("idempotency-replayed") {
            assert_eq!(runs.load(Ordering::Relaxed), 1, "a record, and two runs");
            assert_eq!(first.status, second.status);
            if !second.headers.contains_key("idempotency-replay") {
                assert_eq!(first_body.unwrap(), second_body.unwrap());
            }
        }
        assert_eq!(drain.in_flight(), 0, "a permit is lost");
        // What is kept of a response is bounded; a record's head is not, and is small here.
        assert!(store.bytes() <= usize::from(input.max_response) + (1 << 20));
    });
    drop((service, layer));
    assert_eq!(
        Arc::strong_count(&store),
        1,
        "something still holds the store"
    );
});
