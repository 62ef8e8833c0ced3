use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_idempotency::{Drain, IdempotencyContext, IdempotencyLayer, Rejection};

use super::faulty_store::FaultyStore;

pub(crate) type TestLayer = IdempotencyLayer<FaultyStore>;
type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A handler behind the layer, its store, and the number of its runs.
#[derive(Clone)]
pub(crate) struct Wire {
    app: App,
    pub(crate) store: FaultyStore,
    pub(crate) drain: Drain,
    runs: watch::Sender<usize>,
}

impl Wire {
    /// Puts the layer around a plain tower service.
    pub(crate) fn plain<F, R>(setup: impl Fn(TestLayer) -> TestLayer, handler: F) -> Self
    where
        F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with(&FaultyStore::default(), setup, |layer, runs| {
            let inner = service_fn(move |request: Request<_>| {
                runs.send_modify(|runs| *runs += 1);
                let response = handler(request.map(Body::new));
                async move { Ok(response.await) }
            });
            let outer = layer
                .layer(inner)
                .map_response(|response| response.map(Body::new));
            BoxCloneSyncService::new(outer)
        })
    }

    /// Puts the layer around an axum router.
    pub(crate) fn router<F, R>(setup: impl Fn(TestLayer) -> TestLayer, handler: F) -> Self
    where
        F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::on(&FaultyStore::default(), setup, handler)
    }

    /// One of them.
    pub(crate) fn of<F, R>(router: bool, setup: impl Fn(TestLayer) -> TestLayer, handler: F) -> Self
    where
        F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        if router {
            Self::router(setup, handler)
        } else {
            Self::plain(setup, handler)
        }
    }

    /// Both of them: what the layer promises holds for each.
    pub(crate) fn both<F, R>(setup: impl Fn(TestLayer) -> TestLayer, handler: F) -> [Self; 2]
    where
        F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        [false, true].map(|router| Self::of(router, &setup, handler.clone()))
    }

    /// Puts the layer around an axum router, on a store that is there already.
    pub(crate) fn on<F, R>(
        store: &FaultyStore,
        setup: impl Fn(TestLayer) -> TestLayer,
        handler: F,
    ) -> Self
    where
        F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with(store, setup, |layer, runs| {
            let handler = move |request: Request<Body>| {
                runs.send_modify(|runs| *runs += 1);
                handler(request)
            };
            BoxCloneSyncService::new(Router::new().fallback(handler).layer(layer))
        })
    }

    fn with(
        store: &FaultyStore,
        setup: impl FnOnce(TestLayer) -> TestLayer,
        build: impl FnOnce(TestLayer, watch::Sender<usize>) -> App,
    ) -> Self {
        let store = store.clone();
        let runs = watch::Sender::new(0);
        let layer = setup(IdempotencyLayer::new(store.clone()));
        Self {
            drain: layer.drain_handle(),
            app: build(layer, runs.clone()),
            store,
            runs,
        }
    }

    /// How often the handler ran.
    pub(crate) fn runs(&self) -> usize {
        *self.runs.borrow()
    }

    /// Resolves once the handler ran so often.
    pub(crate) async fn until_runs(&self, runs: usize) {
        let mut seen = self.runs.subscribe();
        seen.wait_for(|seen| *seen >= runs).await.unwrap();
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.respond(request).await).await
    }

    /// Sends a request and leaves the body of the response unread.
    pub(crate) fn respond(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let app = self.app.clone();
        async move { app.oneshot(request).await.unwrap() }
    }

    /// Sends a request from a task of its own.
    pub(crate) fn spawn(&self, request: Request<Body>) -> JoinHandle<Answer> {
        let wire = self.clone();
        tokio::spawn(async move { wire.send(request).await })
    }

    /// Sends a request from a task of its own, and returns once its handler runs.
    pub(crate) async fn start(&self, request: Request<Body>) -> JoinHandle<Answer> {
        let next = self.runs() + 1;
        let answer = self.spawn(request);
        self.until_runs(next).await;
        answer
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) rejection: Option<Rejection>,
    /// Whether the body ended with an error.
    pub(crate) broke_off: bool,
}

impl Answer {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let mut answer = Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Vec::new(),
            trailers: None,
            rejection: parts.extensions.get().copied(),
            broke_off: false,
        };
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => answer.body.extend_from_slice(&data),
                Ok(Err(trailers)) => answer.trailers = trailers.into_trailers().ok(),
                Err(_) => answer.broke_off = true,
            }
        }
        answer
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn is_replay(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }

    pub(crate) fn code(&self) -> Option<&'static str> {
        self.rejection.map(|rejection| rejection.code())
    }

    /// Checks a refusal in all its parts, against the table below.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: &str) {
        let (_, status, _, retry) = golden(code);
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("retry-after"), retry.then_some("1"), "{self:?}");
        assert_eq!(self.header("idempotency-replayed"), None);
        assert_eq!(self.headers.get_all("content-type").iter().count(), 1);
        let problem: Value = serde_json::from_slice(&self.body).expect("a problem is JSON");
        let members = problem.as_object().unwrap();
        assert_eq!(members.len(), 5, "{problem}");
        assert!(
            problem["type"].as_str().unwrap().ends_with(code),
            "{problem}"
        );
        assert!(!problem["title"].as_str().unwrap().is_empty(), "{problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
    }

    /// Checks the refusal of a gRPC call, against the table below.
    #[track_caller]
    pub(crate) fn assert_grpc_refused(&self, code: &str) {
        let (_, _, grpc, retry) = golden(code);
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert_eq!(self.status, 200);
        assert_eq!(self.header("content-type"), Some("application/grpc"));
        assert_eq!(self.header("grpc-status"), Some(grpc), "{self:?}");
        assert!(
            self.header("grpc-message")
                .is_some_and(|message| !message.is_empty())
        );
        assert_eq!(
            self.header("grpc-retry-pushback-ms"),
            retry.then_some("1000")
        );
        assert_eq!(self.header("retry-after"), None);
        assert!(self.body.is_empty());
    }
}

/// Every refusal: its code, its status, its gRPC status, and whether to try again.
pub(crate) const REFUSALS: [(&str, u16, &str, bool); 15] = [
    ("missing-key", 400, "3", false),
    ("invalid-key", 400, "3", false),
    ("unreadable-body", 400, "3", false),
    ("payload-too-large", 413, "8", false),
    ("missing-principal", 403, "16", false),
    ("fingerprint-mismatch", 422, "3", false),
    ("credentials-changed", 422, "3", false),
    ("in-flight", 409, "14", true),
    ("superseded", 409, "14", true),
    ("outcome-unknown", 409, "9", false),
    ("effect-committed", 409, "9", false),
    ("not-replayable", 409, "9", false),
    ("store-unavailable", 503, "14", true),
    ("overloaded", 503, "14", true),
    ("draining", 503, "14", true),
];

#[track_caller]
fn golden(code: &str) -> (&'static str, u16, &'static str, bool) {
    let row = REFUSALS.into_iter().find(|row| row.0 == code);
    row.unwrap_or_else(|| panic!("no refusal is called {code}"))
}

/// Leaves the layer as it is.
pub(crate) fn defaults(layer: TestLayer) -> TestLayer {
    layer
}

/// Makes the request that most tests send.
pub(crate) fn keyed(key: &str) -> Request<Body> {
    with(unkeyed(), "idempotency-key", key)
}

/// Makes the same request without a key.
pub(crate) fn unkeyed() -> Request<Body> {
    let request = Request::post("http://shop.example/pay?x=1");
    request
        .header("content-type", "text/plain")
        .body(Body::from("amount=1"))
        .unwrap()
}

/// Adds a header field, or another one of the name.
pub(crate) fn with<B>(mut request: Request<B>, name: &'static str, value: &str) -> Request<B> {
    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
    request
        .headers_mut()
        .append(HeaderName::from_static(name), value);
    request
}

/// Makes a handler of one answer.
pub(crate) fn answers(
    make: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static,
) -> impl Fn(Request<Body>) -> std::future::Ready<Response<Body>> + Clone + Send + Sync + 'static {
    move |_| std::future::ready(make())
}

/// A handler that answers with what it can see: attempt and fence, then a downstream key.
#[expect(clippy::needless_pass_by_value, reason = "it is a handler")]
pub(crate) fn tells(request: Request<Body>) -> std::future::Ready<Response<Body>> {
    let context = request
        .extensions()
        .get::<IdempotencyContext>()
        .expect("the layer ran");
    let (attempt, fence) = (context.attempt(), context.fence());
    let body = format!("{attempt} {fence:?} {}", context.downstream_key("bank"));
    let status = request
        .headers()
        .get("x-answer")
        .map_or("200", |asked| asked.to_str().unwrap());
    std::future::ready(response(status.parse().unwrap(), body))
}

/// Makes a handler that gives this answer once, and 299 to whoever asks again.
pub(crate) fn gives(
    once: Response<Body>,
) -> impl Fn(Request<Body>) -> std::future::Ready<Response<Body>> + Clone + Send + Sync + 'static {
    let once = Arc::new(Mutex::new(Some(once)));
    move |_| {
        let once = once.lock().unwrap().take();
        std::future::ready(once.unwrap_or_else(|| response(299, "ran again")))
    }
}

/// Yields to other tasks until something has come about. Paused time stands still meanwhile.
pub(crate) async fn until(come_about: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !come_about() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it never comes about"
        );
        tokio::task::yield_now().await;
    }
}

/// Makes a response with a body.
pub(crate) fn response(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(body.into())
        .unwrap()
}

/// Holds handlers back until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}
