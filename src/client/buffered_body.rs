use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::RepeatBody;

/// A body read ahead: whole, so that it may be sent again, or as far as the limit went.
///
/// Made by [`BufferLayer`](super::BufferLayer) for requests and by
/// [`ReadAnswerLayer`](super::ReadAnswerLayer) for answers; or wrap a body that is sent once with
/// [`once`](Self::once).
pub struct BufferedBody<B>(State<B>)
where
    B: Body;

enum State<B: Body> {
    Whole {
        data: Bytes,
        trailers: Option<HeaderMap>,
    },
    Partial {
        ahead: Bytes,
        /// How the body failed while it was read ahead: told when what came before is sent.
        failed: Option<B::Error>,
        rest: Pin<Box<B>>,
    },
}

impl<B: Body> BufferedBody<B> {
    /// Wraps a body without reading it, to be sent once.
    #[must_use]
    pub fn once(body: B) -> Self {
        Self(State::Partial {
            ahead: Bytes::new(),
            failed: None,
            rest: Box::pin(body),
        })
    }
}

impl<B: Body> RepeatBody for BufferedBody<B> {
    fn repeat(&self) -> Option<Self> {
        match &self.0 {
            State::Whole { data, trailers } => Some(Self(State::Whole {
                data: data.clone(),
                trailers: trailers.clone(),
            })),
            State::Partial { .. } => None,
        }
    }
}

impl<B: Body> Body for BufferedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let (data, failed, rest) = match &mut self.0 {
            State::Whole { data, trailers } => {
                let frame = take(data).map_or_else(
                    || trailers.take().map(Frame::trailers),
                    |data| Some(Frame::data(data)),
                );
                return Poll::Ready(frame.map(Ok));
            }
            State::Partial {
                ahead,
                failed,
                rest,
            } => (take(ahead), failed, rest),
        };
        if let Some(data) = data {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(error) = failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(rest.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map(whole_bytes)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Whole { data, trailers } => data.is_empty() && trailers.is_none(),
            State::Partial {
                ahead,
                failed,
                rest,
            } => ahead.is_empty() && failed.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            // Not exact while trailers wait: hyper would announce the length, and HTTP/1 has no
            // trailers after a body of known length.
            State::Whole {
                data,
                trailers: Some(_),
            } => longer(&SizeHint::default(), length(data)),
            State::Whole { data, .. } => SizeHint::with_exact(length(data)),
            State::Partial { ahead, rest, .. } => longer(&rest.size_hint(), length(ahead)),
        }
    }
}

impl<B: Body> fmt::Debug for BufferedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, data) = match &self.0 {
            State::Whole { data, .. } => ("Whole", data),
            State::Partial { ahead, .. } => ("Partial", ahead),
        };
        f.debug_struct(name)
            .field("bytes", &data.len())
            .finish_non_exhaustive()
    }
}

// Nothing is pinned in place: the rest is boxed.
impl<B: Body> Unpin for BufferedBody<B> {}

/// Reads a body up to a limit.
pub(super) struct Fill<B> {
    limit: usize,
    length: usize,
    /// One frame, the usual case, is passed on as it is.
    only: Bytes,
    /// Several are put together, or a body sent byte by byte would take many times its length.
    several: BytesMut,
    trailers: Option<HeaderMap>,
    body: Option<Pin<Box<B>>>,
}

impl<B: Body> Fill<B> {
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self {
            limit,
            length: 0,
            only: Bytes::new(),
            several: BytesMut::new(),
            trailers: None,
            body: Some(Box::pin(body)),
        }
    }

    /// Resolves to the body read whole, or as far as the limit or a failure let it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BufferedBody<B>> {
        let failed = loop {
            let body = self.body.as_mut().expect("polled after it was ready");
            if self.length > self.limit || body.size_hint().lower() > room(self.limit, self.length)
            {
                break None;
            }
            match ready!(body.as_mut().poll_frame(cx)) {
                None => {
                    return Poll::Ready(BufferedBody(State::Whole {
                        data: self.take_read(),
                        trailers: self.trailers.take(),
                    }));
                }
                Some(Err(error)) => break Some(error),
                Some(Ok(frame)) => match whole_bytes(frame).into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.push(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        };
        Poll::Ready(BufferedBody(State::Partial {
            ahead: self.take_read(),
            failed,
            rest: self.body.take().expect("polled after it was ready"),
        }))
    }

    fn push(&mut self, data: &Bytes) {
        if self.length == 0 {
            self.only = data.clone();
        } else {
            self.several.extend_from_slice(&mem::take(&mut self.only));
            self.several.extend_from_slice(data);
        }
        self.length += data.len();
    }

    fn take_read(&mut self) -> Bytes {
        take(&mut self.only).unwrap_or_else(|| self.several.split().freeze())
    }
}

impl<B: Body> BufferedBody<B> {
    /// Takes out how the body failed while it was read ahead.
    pub(super) fn take_failure(&mut self) -> Option<B::Error> {
        match &mut self.0 {
            State::Whole { .. } => None,
            State::Partial { failed, .. } => failed.take(),
        }
    }
}

fn whole_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

fn take(data: &mut Bytes) -> Option<Bytes> {
    (!data.is_empty()).then(|| mem::take(data))
}

fn length(data: &Bytes) -> u64 {
    data.len() as u64
}

fn room(limit: usize, length: usize) -> u64 {
    limit.saturating_sub(length) as u64
}

fn longer(rest: &SizeHint, ahead: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(ahead));
    if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(ahead)) {
        hint.set_upper(upper);
    }
    hint
}
