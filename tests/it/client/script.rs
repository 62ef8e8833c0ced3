//! A client service that answers as it was told and remembers what it was asked.

use std::{
    collections::VecDeque,
    fmt::{self, Display},
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Collected, Full};
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use tower_idempotency::client::{
    Backoff, CallError, RetryInfo, RetryLayer, RetryPolicy, RetryPolicyBuilder, RetryService,
};
use tower_layer::Layer;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A policy of fixed pauses of 100 ms.
pub(crate) fn fixed() -> RetryPolicyBuilder {
    RetryPolicy::builder().backoff(Backoff::fixed(ms(100)))
}

pub(crate) type Sent = Full<Bytes>;

pub(crate) fn request(method: Method) -> Request<Sent> {
    let request = Request::builder()
        .method(method)
        .uri("http://shop.test/charges?a=b");
    request.body(Full::from("order")).unwrap()
}

pub(crate) fn post() -> Request<Sent> {
    request(Method::POST)
}

pub(crate) fn keyed() -> Request<Sent> {
    let mut request = post();
    let key = HeaderValue::from_static("order-1");
    request.headers_mut().insert("idempotency-key", key);
    request
}

/// What the service does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16, Vec<(&'static str, String)>),
    Refused,
    Reset,
    Hang,
    /// An answer whose body breaks off after a few bytes.
    HalfBody(u16, Vec<(&'static str, String)>),
}

pub(crate) fn status(status: u16) -> Answer {
    Answer::Status(status, Vec::new())
}

pub(crate) fn half(status: u16) -> Answer {
    Answer::HalfBody(status, Vec::new())
}

pub(crate) fn with(status: u16, name: &'static str, value: impl Display) -> Answer {
    Answer::Status(status, vec![(name, value.to_string())])
}

/// What the service saw of one request.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// When it came, counted from the making of the script.
    pub(crate) at: Duration,
    pub(crate) head: http::request::Parts,
    pub(crate) body: Bytes,
}

impl Attempt {
    pub(crate) fn key(&self) -> Option<&str> {
        self.head.headers.get("idempotency-key")?.to_str().ok()
    }
}

/// Answers from a list; the last answer goes on for ever.
#[derive(Clone)]
pub(crate) struct Script {
    start: Instant,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Attempt>>>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            start: Instant::now(),
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            seen: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> Vec<Attempt> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn times(&self) -> Vec<Duration> {
        self.seen().iter().map(|attempt| attempt.at).collect()
    }

    pub(crate) fn goes_on_with(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    fn next_answer(&self) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers.front().expect("a script with an answer").clone()
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl<B> Service<Request<B>> for Script
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Reply>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Reply>>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let script = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map_or_else(|_| Bytes::from_static(b"broken"), Collected::to_bytes);
            script.seen.lock().unwrap().push(Attempt {
                at: script.start.elapsed(),
                head,
                body,
            });
            match script.next_answer() {
                Answer::Status(status, headers) => Ok(answer(status, &headers, Reply::whole())),
                Answer::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
                Answer::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                Answer::Hang => pending().await,
                Answer::HalfBody(status, headers) => Ok(answer(status, &headers, Reply::half())),
            }
        })
    }
}

fn answer(status: u16, headers: &[(&'static str, String)], body: Reply) -> Response<Reply> {
    let mut response = Response::builder().status(status).body(body).unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// The body of an answer, which may break off.
#[derive(Debug)]
pub(crate) struct Reply {
    data: Option<Bytes>,
    breaks: bool,
}

impl Reply {
    fn whole() -> Self {
        let data = Some(Bytes::from_static(b"answer"));
        Self {
            data,
            breaks: false,
        }
    }

    fn half() -> Self {
        let data = Some(Bytes::from_static(b"ans"));
        Self { data, breaks: true }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = match self.data.take() {
            Some(data) => Some(Ok(Frame::data(data))),
            None if self.breaks => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        };
        Poll::Ready(frame)
    }
}

/// A script behind a policy.
pub(crate) struct Client {
    pub(crate) script: Script,
    pub(crate) service: RetryService<Script>,
    delays: Arc<Mutex<Vec<Duration>>>,
}

impl Client {
    pub(crate) fn new(
        builder: RetryPolicyBuilder,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let delays = Arc::new(Mutex::new(Vec::new()));
        let log = delays.clone();
        let policy = builder
            .on_retry(move |event| log.lock().unwrap().push(event.delay()))
            .build()
            .unwrap();
        let script = Script::new(answers);
        Self {
            service: RetryLayer::new(policy).layer(script.clone()),
            script,
            delays,
        }
    }

    pub(crate) async fn call(&self, request: Request<Sent>) -> Result<Response<Reply>, CallError> {
        self.service.clone().oneshot(request).await
    }

    /// Calls and returns the status of the answer.
    pub(crate) async fn status(&self, request: Request<Sent>) -> u16 {
        self.call(request).await.unwrap().status().as_u16()
    }

    /// The pauses since the last look, as the policy told of them.
    pub(crate) fn delays(&self) -> Vec<Duration> {
        std::mem::take(&mut self.delays.lock().unwrap())
    }

    pub(crate) fn requests(&self) -> usize {
        self.script.seen().len()
    }
}

pub(crate) fn info(result: &Result<Response<Reply>, CallError>) -> RetryInfo {
    match result {
        Ok(response) => RetryInfo::of(response.extensions()),
        Err(error) => *error.info().expect("an attempt was made"),
    }
}

pub(crate) async fn text(response: Response<Reply>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}
