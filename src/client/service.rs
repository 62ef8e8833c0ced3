use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower::{
    BoxError,
    retry::{Retry, future::ResponseFuture},
};
use tower_service::Service;

use super::{
    CallError, RetryPolicy, RetryRequest, RetryResponse,
    attempt::{Attempt, Kept},
};

/// A client service with retries, made by [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug)]
pub struct RetryService<S> {
    policy: RetryPolicy,
    retry: Retry<RetryPolicy, Attempt<S>>,
}

impl<S> RetryService<S> {
    /// Puts a policy around a service, as the layer does.
    #[must_use]
    pub fn new(policy: RetryPolicy, inner: S) -> Self {
        let attempt = Attempt::new(inner, policy.settings.attempt_timeout);
        Self {
            retry: Retry::new(policy.clone(), attempt),
            policy,
        }
    }
}

impl<S, R> Service<R> for RetryService<S>
where
    S: Service<R> + Clone,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = RetryFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.retry.get_mut().poll_inner::<R>(cx)
    }

    #[inline]
    fn call(&mut self, mut request: R) -> RetryFuture<S, R> {
        self.policy.set_key(&mut request);
        RetryFuture {
            attempts: self.retry.call(Kept::Fresh(request)),
        }
    }
}

pin_project! {
    /// A call with its retries. Dropped, it sends nothing more.
    pub struct RetryFuture<S, R>
    where
        S: Service<R>,
        S: Clone,
        S::Response: RetryResponse,
        S::Error: Into<BoxError>,
        R: RetryRequest,
    {
        #[pin]
        attempts: ResponseFuture<RetryPolicy, Attempt<S>, Kept<R>>,
    }
}

impl<S, R> Future for RetryFuture<S, R>
where
    S: Service<R> + Clone,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    type Output = Result<S::Response, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().attempts.poll(cx)
    }
}

impl<S, R> fmt::Debug for RetryFuture<S, R>
where
    S: Service<R> + Clone,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture").finish_non_exhaustive()
    }
}
