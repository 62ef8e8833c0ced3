use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{BufferedBody, buffered_body::Fill};

/// Reads request bodies into memory up to a limit, so that they may be sent again.
///
/// Goes outside [`RetryLayer`](super::RetryLayer), over bodies that are not `Clone` (axum's, tonic's,
/// hyper's `Incoming`). A body over the limit is sent once, whole and streamed, as it would be
/// without this layer; its call is not retried, and
/// [`RetryInfo`](super::RetryInfo) says so. So is a body that fails while it is read.
///
/// The body is read before the call begins: neither the attempt timeout nor the deadline covers
/// that. Nothing is sent until it has ended or the limit is reached, so **not for streams in both
/// directions**, whose client waits for an answer before it sends the rest: they would wait for ever.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::combinators::BoxBody;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::ServiceBuilder;
/// use tower_idempotency::client::{BufferLayer, BufferedBody, RetryLayer, RetryPolicy};
///
/// type Streamed = BoxBody<Bytes, std::io::Error>;
///
/// let client = ServiceBuilder::new()
///     .layer(BufferLayer::new(64 * 1024))
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .service(Client::builder(TokioExecutor::new()).build_http::<BufferedBody<Streamed>>());
/// # let _ = client;
/// ```
///
/// tonic's channel takes tonic's own body, so one line more turns the buffered one into it:
///
/// ```
/// use tonic::{body::Body, transport::Endpoint};
/// use tower::ServiceBuilder;
/// use tower_idempotency::client::{BufferLayer, BufferedBody, RetryLayer, RetryPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let channel = ServiceBuilder::new()
///     .layer(BufferLayer::new(64 * 1024))
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .map_request(|request: http::Request<BufferedBody<Body>>| request.map(Body::new))
///     .service(Endpoint::from_static("http://127.0.0.1:50051").connect_lazy());
/// # async fn call<S: tower::Service<http::Request<Body>>>(mut client: S) {
/// #     let _ = client.call(http::Request::new(Body::empty())).await;
/// # }
/// # let _ = call(channel);
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BufferLayer {
    max_bytes: usize,
}

impl BufferLayer {
    /// Makes a layer that holds at most so many bytes of each body, give or take its last frame.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes }
    }
}

impl<S> Layer<S> for BufferLayer {
    type Service = BufferService<S>;

    fn layer(&self, inner: S) -> BufferService<S> {
        BufferService {
            inner,
            max_bytes: self.max_bytes,
        }
    }
}

/// A client service that reads request bodies ahead, made by [`BufferLayer`].
#[derive(Clone, Debug)]
pub struct BufferService<S> {
    inner: S,
    max_bytes: usize,
}

impl<S, B> Service<Request<B>> for BufferService<S>
where
    S: Service<Request<BufferedBody<B>>> + Clone,
    B: Body,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BufferFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> BufferFuture<S, B> {
        // The service that was polled ready serves this call; its clone has still to become ready.
        let clone = self.inner.clone();
        let service = mem::replace(&mut self.inner, clone);
        let (head, body) = request.into_parts();
        BufferFuture {
            state: State::Filling {
                fill: Fill::new(body, self.max_bytes),
                head: Some(head),
                service,
            },
        }
    }
}

pin_project! {
    /// A call whose request body is read ahead.
    pub struct BufferFuture<S, B>
    where
        S: Service<Request<BufferedBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<BufferedBody<B>>>,
        B: Body,
    {
        Filling { fill: Fill<B>, head: Option<Parts>, service: S },
        Calling { #[pin] future: S::Future },
    }
}

impl<S, B> Future for BufferFuture<S, B>
where
    S: Service<Request<BufferedBody<B>>>,
    B: Body,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if let StateProj::Filling {
            fill,
            head,
            service,
        } = state.as_mut().project()
        {
            let body = ready!(fill.poll(cx));
            let head = head.take().expect("taken once, as the state ends here");
            let future = service.call(Request::from_parts(head, body));
            state.set(State::Calling { future });
        }
        match state.project() {
            StateProj::Calling { future } => future.poll(cx),
            StateProj::Filling { .. } => unreachable!("replaced above"),
        }
    }
}

impl<S, B> fmt::Debug for BufferFuture<S, B>
where
    S: Service<Request<BufferedBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferFuture").finish_non_exhaustive()
    }
}
