use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    body::{Buffered, ResponseBody},
    hang_up::HangUp,
    runtime::{self, Handle},
};

pin_project! {
    /// The future of a response.
    ///
    /// Dropped while a keyed request is carried out, it moves what is left to do into a task of the
    /// runtime that polled it: the handler and the saving of its result go on without their client.
    pub struct ResponseFuture<F, B, E>
    where
        B: Body,
        B: 'static,
        E: 'static,
    {
        #[pin]
        kind: Kind<F, B, E>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, B, E>
    where
        B: Body,
        B: 'static,
        E: 'static,
    {
        Forwarded { #[pin] future: F },
        Rejected { response: Option<Response<Buffered>> },
        Exchange { exchange: Detachable<Result<Response<ResponseBody<B>>, E>> },
    }
}

impl<F, B: Body + 'static, E: 'static> ResponseFuture<F, B, E> {
    pub(crate) const fn forwarded(future: F) -> Self {
        Self {
            kind: Kind::Forwarded { future },
        }
    }

    pub(crate) const fn rejected(response: Response<Buffered>) -> Self {
        Self {
            kind: Kind::Rejected {
                response: Some(response),
            },
        }
    }

    pub(crate) fn exchange(
        future: impl Future<Output = Result<Response<ResponseBody<B>>, E>> + Send + 'static,
        hang_up: Arc<HangUp>,
    ) -> Self {
        let exchange = Detachable {
            future: Some(Box::pin(future)),
            hang_up,
            home: None,
        };
        Self {
            kind: Kind::Exchange { exchange },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + 'static,
    E: 'static,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Forwarded { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(ResponseBody::forwarded)))
            }
            KindProjection::Rejected { response } => {
                let response = response.take().expect("polled after its end");
                Poll::Ready(Ok(response.map(ResponseBody::buffered)))
            }
            KindProjection::Exchange { exchange } => exchange.poll(cx),
        }
    }
}

impl<F, B: Body + 'static, E: 'static> fmt::Debug for ResponseFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Forwarded { .. } => "ResponseFuture::Forwarded",
            Kind::Rejected { .. } => "ResponseFuture::Rejected",
            Kind::Exchange { .. } => "ResponseFuture::Exchange",
        })
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that goes on in a task when it is dropped before its end.
///
/// A box that moves costs a fiftieth of a task for every request.
struct Detachable<T: 'static> {
    future: Option<BoxFuture<T>>,
    hang_up: Arc<HangUp>,
    home: Option<Home>,
}

/// Where a future goes on.
struct Home {
    runtime: Handle,
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl<T: 'static> Detachable<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it is polled, so that one that panics is at its end.
        let mut future = self.future.take().expect("polled after its end");
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.future = Some(future);
            if self.home.is_none() {
                self.home = Home::here();
            }
        }
        polled
    }
}

impl<T: 'static> Drop for Detachable<T> {
    fn drop(&mut self) {
        let (Some(future), Some(home)) = (self.future.take(), self.home.take()) else {
            return;
        };
        if self.hang_up.note() {
            home.finish(future);
        }
    }
}

impl Home {
    /// Returns where the caller is. A drop may be anywhere, outside of every runtime too.
    fn here() -> Option<Self> {
        Some(Self {
            runtime: Handle::try_current().ok()?,
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        })
    }

    fn finish<T: 'static>(self, future: BoxFuture<T>) {
        let work = async move { drop(future.await) };
        #[cfg(feature = "tracing")]
        let work = tracing::Instrument::instrument(work, self.span);
        runtime::spawn(&self.runtime, work);
    }
}
