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

#[cfg(feature = "tracing")]
use crate::telemetry;
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
            #[cfg(feature = "tracing")]
            span: None,
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
    /// Where it goes on.
    home: Option<Handle>,
    /// Made at the first poll, inside the caller's.
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

impl<T: 'static> Detachable<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it is polled, so that one that panics is at its end.
        let mut future = self.future.take().expect("polled after its end");
        #[cfg(feature = "tracing")]
        let _entered = self.span.get_or_insert_with(telemetry::span).enter();
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.future = Some(future);
            if self.home.is_none() {
                // A drop may be anywhere, outside of every runtime too.
                self.home = Handle::try_current().ok();
            }
        }
        polled
    }
}

impl<T: 'static> Drop for Detachable<T> {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else {
            return;
        };
        #[cfg(feature = "tracing")]
        let span = self.span.take().unwrap_or_else(tracing::Span::none);
        match self.home.take() {
            Some(home) if self.hang_up.note() => {
                let work = async move { drop(future.await) };
                #[cfg(feature = "tracing")]
                let work = tracing::Instrument::instrument(work, span);
                runtime::spawn(&home, work);
            }
            _ => {
                #[cfg(feature = "tracing")]
                let _entered = span.enter();
                drop(future);
            }
        }
    }
}
