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
    /// The body of a response on its way to the client.
    ///
    /// It is the inner service's own body where the layer does not touch the response, what was
    /// read or recorded of one, or both one after the other. Errors are those of the inner
    /// service's body.
    pub struct ResponseBody<B: Body> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B: Body> {
        Forwarded { #[pin] body: B },
        Buffered { buffered: Buffered },
        // Read in part, and too long to be read whole.
        Resumed { read: Buffered, rest: Pin<Box<B>> },
        // Broke off; the caller sees what it would have seen without the layer.
        Failed { read: Buffered, error: Option<B::Error> },
    }
}

impl<B: Body> ResponseBody<B> {
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

    pub(crate) const fn resumed(read: Buffered, rest: Pin<Box<B>>) -> Self {
        Self {
            kind: Kind::Resumed { read, rest },
        }
    }

    pub(crate) const fn failed(read: Buffered, error: B::Error) -> Self {
        Self {
            kind: Kind::Failed {
                read,
                error: Some(error),
            },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Forwarded { body } => body.poll_frame(cx),
            KindProjection::Buffered { buffered } => Poll::Ready(buffered.next_frame().map(Ok)),
            KindProjection::Resumed { read, rest } => read.poll_then(rest.as_mut(), cx),
            KindProjection::Failed { read, error } => Poll::Ready(match read.next_frame() {
                Some(frame) => Some(Ok(frame)),
                None => error.take().map(Err),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Forwarded { body } => body.is_end_stream(),
            Kind::Buffered { buffered } => buffered.is_end(),
            Kind::Resumed { read, rest } => read.is_end() && rest.is_end_stream(),
            Kind::Failed { error, .. } => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Forwarded { body } => body.size_hint(),
            Kind::Buffered { buffered } => buffered.size_hint(),
            Kind::Resumed { read, rest } => read.size_hint_then(&rest.size_hint()),
            Kind::Failed { read, .. } => read.size_hint_then(&SizeHint::new()),
        }
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Forwarded { .. } => "ResponseBody::Forwarded",
            Kind::Buffered { .. } => "ResponseBody::Buffered",
            Kind::Resumed { .. } => "ResponseBody::Resumed",
            Kind::Failed { .. } => "ResponseBody::Failed",
        })
    }
}
