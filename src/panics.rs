use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

/// What a panic carries.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Does something to its end, or to its panic.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    // Whatever the panic left half done is dropped, and the panic goes on to the caller.
    panic::catch_unwind(AssertUnwindSafe(work))
}

/// Runs a future to its end, or to its panic.
pub(crate) const fn catch_panic<F: Future>(future: F) -> CatchPanic<F> {
    CatchPanic { future }
}

pin_project! {
    // Not an `async fn`: that would keep two copies of the future, one of them moved from.
    pub(crate) struct CatchPanic<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch(|| future.poll(cx)) {
            Ok(poll) => Poll::Ready(Ok(ready!(poll))),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
