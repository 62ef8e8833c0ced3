use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode, response::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::BoxError;
use tower_layer::Layer;
use tower_service::Service;

use super::{BufferedBody, Failure, buffered_body::Fill};
use crate::replay::is_endless;

/// Reads each answer's body as part of its attempt, up to a limit.
///
/// Goes inside [`RetryLayer`](super::RetryLayer). Without it an attempt ends with the head of the
/// answer, and a connection that breaks in the middle of the body is the caller's to deal with;
/// with it that is one more ambiguous failure, retried as any other, and the attempt timeout covers
/// the body too. An answer that says a failure is judged by its head, whatever becomes of its body.
/// Of an answer over the limit the rest is streamed, as without this layer, and so is all of a
/// `text/event-stream`.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::ServiceBuilder;
/// use tower_idempotency::client::{ReadAnswerLayer, RetryLayer, RetryPolicy};
///
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .layer(ReadAnswerLayer::new(1024 * 1024))
///     .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
/// # let _ = client;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ReadAnswerLayer {
    max_bytes: usize,
}

impl ReadAnswerLayer {
    /// Makes a layer that holds at most so many bytes of each body, give or take its last frame.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes }
    }
}

impl<S> Layer<S> for ReadAnswerLayer {
    type Service = ReadAnswer<S>;

    fn layer(&self, inner: S) -> ReadAnswer<S> {
        ReadAnswer {
            inner,
            max_bytes: self.max_bytes,
        }
    }
}

/// A client service that reads answers whole, made by [`ReadAnswerLayer`].
#[derive(Clone, Debug)]
pub struct ReadAnswer<S> {
    inner: S,
    max_bytes: usize,
}

impl<S, R, B> Service<R> for ReadAnswer<S>
where
    S: Service<R, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<BufferedBody<B>>;
    type Error = BoxError;
    type Future = ReadAnswerFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ReadAnswerFuture {
            state: State::Head {
                future: self.inner.call(request),
                max_bytes: self.max_bytes,
            },
        }
    }
}

pin_project! {
    /// An attempt that ends with the body of its answer.
    pub struct ReadAnswerFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Head { #[pin] future: F, max_bytes: usize },
        Body { fill: Fill<B>, head: Option<Parts> },
    }
}

impl<F, B, E> Future for ReadAnswerFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<BufferedBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Head { future, max_bytes } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    let (head, body) = response.into_parts();
                    if is_endless(&head) {
                        let body = BufferedBody::once(body);
                        return Poll::Ready(Ok(Response::from_parts(head, body)));
                    }
                    let fill = Fill::new(body, *max_bytes);
                    let head = Some(head);
                    state.set(State::Body { fill, head });
                }
                StateProj::Body { fill, head } => {
                    let mut body = ready!(fill.poll(cx));
                    let head = head.take().expect("polled after it was ready");
                    // The head of a failure says all that the policy asks: whether anything was
                    // done, and when to come again.
                    if Failure::of_status(head.status).is_none() {
                        if let Some(error) = body.take_failure() {
                            let (status, error) = (head.status, error.into());
                            return Poll::Ready(Err(BrokenAnswer { status, error }.into()));
                        }
                    }
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
            }
        }
    }
}

impl<F, B> fmt::Debug for ReadAnswerFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAnswerFuture").finish_non_exhaustive()
    }
}

/// An answer that broke off in its body: whatever its error says, the request had arrived.
#[derive(Debug)]
pub(super) struct BrokenAnswer {
    status: StatusCode,
    error: BoxError,
}

impl fmt::Display for BrokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer {} broke off", self.status)
    }
}

impl Error for BrokenAnswer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}
