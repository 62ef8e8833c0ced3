use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{self, Sleep};
use tower::BoxError;
use tower_service::Service;

use super::{CallError, RetryInfo, RetryRequest, RetryResponse, message::sealed::Spare};

/// A request on its way through `tower`'s retry: the user's own for the first attempt, and what
/// was kept of it for the others.
pub(super) enum Kept<R: RetryRequest> {
    Fresh(R),
    Spare(R::Spare),
}

impl<R: RetryRequest> Kept<R> {
    #[inline]
    fn into_request(self) -> R {
        match self {
            Self::Fresh(request) => request,
            Self::Spare(spare) => spare.into_request(),
        }
    }
}

/// Makes one attempt on the inner service, under the attempt timeout.
#[derive(Clone, Debug)]
pub(super) struct Attempt<S> {
    inner: S,
    timeout: Option<Duration>,
}

impl<S> Attempt<S> {
    pub(super) fn new(inner: S, timeout: Option<Duration>) -> Self {
        Self { inner, timeout }
    }
}

impl<S, R> Service<Kept<R>> for Attempt<S>
where
    S: Service<R>,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = AttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx).map_err(CallError::not_ready)
    }

    #[inline]
    fn call(&mut self, kept: Kept<R>) -> Self::Future {
        AttemptFuture {
            inner: self.inner.call(kept.into_request()),
            timer: self.timeout.map(time::sleep),
        }
    }
}

pin_project! {
    /// One attempt, until its answer's head is there.
    pub(super) struct AttemptFuture<F> {
        #[pin]
        inner: F,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F, Res, E> Future for AttemptFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    Res: RetryResponse,
    E: Into<BoxError>,
{
    type Output = Result<Res, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(match result {
                Ok(mut response) => {
                    // Another retry layer further in told of its own attempts, not of ours.
                    response.extensions_mut().remove::<RetryInfo>();
                    Ok(response)
                }
                Err(error) => Err(CallError::attempt(error)),
            });
        }
        let Some(timer) = this.timer.as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
        Poll::Ready(Err(CallError::timeout()))
    }
}
