use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Buffered;

pin_project! {
    /// The body of a request on its way to the inner service.
    ///
    /// It is the client's own body where the layer does not touch the request, or what was read of it.
    /// Errors are those of the client's body.
    pub struct RequestBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Forwarded { #[pin] body: B },
        Buffered { buffered: Buffered },
    }
}

impl<B> RequestBody<B> {
    pub(crate) const fn forwarded(body: B) -> Self {
        Self {
            kind: Kind::Forwarded { body },
        }
    }

    pub(crate) const fn buffered(buffered: Buffered) -> Self {
        Self {
            kind: Kind::Buffered { buffered },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Forwarded { body } => body.poll_frame(cx),
            KindProjection::Buffered { buffered } => Poll::Ready(buffered.next_frame().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Forwarded { body } => body.is_end_stream(),
            Kind::Buffered { buffered } => buffered.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Forwarded { body } => body.size_hint(),
            Kind::Buffered { buffered } => buffered.size_hint(),
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Forwarded { .. } => "RequestBody::Forwarded",
            Kind::Buffered { .. } => "RequestBody::Buffered",
        })
    }
}
