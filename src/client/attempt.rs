use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{self, Sleep};
use tower::BoxError;
use tower_service::Service;

use super::{CallError, RetryRequest, RetryResponse, message::sealed::Spare};

/// A request on its way through `tower`'s retry: the user's own for the first attempt, and what
/// was kept of it for the others.
pub(super) enum Kept<R: RetryRequest> {
    Fresh(R),
    Spare(R::Spare),
    /// Of one that cannot be sent again.
    Spent,
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

    /// Waits for the inner service before a call, which is up to the caller.
    pub(super) fn poll_inner<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        self.inner.poll_ready(cx).map_err(CallError::not_ready)
    }
}

impl<S, R> Service<Kept<R>> for Attempt<S>
where
    S: Service<R> + Clone,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = AttemptFuture<S, R>;

    /// A retry waits for the inner service as part of its attempt: under the timeout, and where the
    /// policy learns of it if that fails.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, kept: Kept<R>) -> Self::Future {
        let state = match kept {
            Kept::Fresh(request) => State::Sent {
                answer: self.inner.call(request),
            },
            Kept::Spare(spare) => State::Waiting {
                again: Some(Box::new((self.inner.clone(), spare))),
            },
            Kept::Spent => unreachable!("the policy has nothing sent that was not kept"),
        };
        AttemptFuture {
            state,
            timer: self.timeout.map(time::sleep),
        }
    }
}

pin_project! {
    /// One attempt, until its answer's head is there.
    pub(super) struct AttemptFuture<S, R>
    where
        S: Service<R>,
        R: RetryRequest,
    {
        #[pin]
        state: State<S, R>,
        #[pin]
        timer: Option<Sleep>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
        R: RetryRequest,
    {
        // A retry until its service is ready; boxed, as most calls have none.
        Waiting { again: Option<Box<(S, R::Spare)>> },
        Sent { #[pin] answer: S::Future },
    }
}

impl<S, R> Future for AttemptFuture<S, R>
where
    S: Service<R>,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    type Output = Result<S::Response, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(result) = this.state.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        let Some(timer) = this.timer.as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
        let was_sent = matches!(*this.state, State::Sent { .. });
        Poll::Ready(Err(CallError::timeout(was_sent)))
    }
}

impl<S, R> State<S, R>
where
    S: Service<R>,
    S::Response: RetryResponse,
    S::Error: Into<BoxError>,
    R: RetryRequest,
{
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, CallError>> {
        if let StateProj::Waiting { again } = self.as_mut().project() {
            let (service, _) = &mut **again.as_mut().expect("polled after it was ready");
            ready!(service.poll_ready(cx)).map_err(CallError::not_ready)?;
            let (mut service, spare) = *again.take().expect("seen above");
            let answer = service.call(spare.into_request());
            self.set(Self::Sent { answer });
        }
        let StateProj::Sent { answer } = self.project() else {
            unreachable!("sent above");
        };
        answer.poll(cx).map_err(CallError::attempt)
    }
}
