use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// A body, or the beginning of one, in memory: its chunks as they came, none copied but the small
/// ones of a body in many pieces.
#[derive(Debug, Default, Clone)]
pub(crate) struct Buffered {
    /// Most bodies are one chunk, which then costs no allocation here.
    first: Bytes,
    rest: VecDeque<Bytes>,
    len: usize,
    /// Boxed: few bodies have any, and every exchange holds two of these.
    trailers: Option<Box<HeaderMap>>,
}

/// The pieces of a body that are copied, so that they do not each keep a buffer of their own.
const SMALL: usize = 4096;

/// How the reading of a body ended.
pub(crate) enum Read<E> {
    Whole(Buffered),
    /// The body is longer than the limit; this much of it was read.
    TooLarge(Buffered),
    Failed(Buffered, E),
}

impl Buffered {
    pub(crate) fn new(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self {
            len: bytes.len(),
            first: bytes,
            rest: VecDeque::new(),
            trailers: trailers.map(Box::new),
        }
    }

    /// Reads a body to its end, or until it turns out longer than `limit` bytes.
    pub(crate) async fn read<B>(mut body: Pin<&mut B>, limit: usize) -> Read<B::Error>
    where
        B: Body<Data = Bytes>,
    {
        let mut read = Self::default();
        let mut small = BytesMut::new();
        if body.size_hint().lower() > limit as u64 {
            return Read::TooLarge(read);
        }
        let end = loop {
            match body.as_mut().frame().await {
                Some(Ok(frame)) => read.push(frame, &mut small),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
            if read.len > limit {
                read.flush(&mut small);
                return Read::TooLarge(read);
            }
        };
        read.flush(&mut small);
        match end {
            Some(error) => Read::Failed(read, error),
            None => Read::Whole(read),
        }
    }

    /// Takes in a frame; small pieces are put together first, or a body sent byte by byte would
    /// take many times its length.
    fn push(&mut self, frame: Frame<Bytes>, small: &mut BytesMut) {
        match frame.into_data() {
            Ok(data) => {
                self.len += data.len();
                if self.first.is_empty() {
                    self.first = data;
                } else if data.len() < SMALL {
                    small.extend_from_slice(&data);
                } else {
                    self.flush(small);
                    self.rest.push_back(data);
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    self.trailers.get_or_insert_default().extend(trailers);
                }
            }
        }
    }

    fn flush(&mut self, small: &mut BytesMut) {
        if !small.is_empty() {
            self.rest.push_back(small.split().freeze());
        }
    }

    /// Returns the number of bytes, trailers left out.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        Some(&self.first)
            .filter(|first| !first.is_empty())
            .into_iter()
            .chain(&self.rest)
    }

    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// Returns all bytes in one piece, which copies them only if they came in several.
    pub(crate) fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut bytes = Vec::with_capacity(self.len);
        self.chunks()
            .for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes.into()
    }

    fn next_data(&mut self) -> Option<Bytes> {
        let next = mem::take(&mut self.first);
        self.first = self.rest.pop_front().unwrap_or_default();
        self.len -= next.len();
        (!next.is_empty()).then_some(next)
    }

    pub(crate) fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        match self.next_data() {
            Some(data) => Some(Frame::data(data)),
            None => self
                .trailers
                .take()
                .map(|trailers| Frame::trailers(*trailers)),
        }
    }

    pub(crate) const fn is_end(&self) -> bool {
        self.len == 0 && self.trailers.is_none()
    }

    /// Returns how much is left. Not exact while trailers wait: hyper would announce the length,
    /// and HTTP/1 has no trailers after a body of known length.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::with_exact(self.len as u64);
        if self.trailers.is_some() {
            hint = SizeHint::new();
            hint.set_lower(self.len as u64);
        }
        hint
    }

    /// Returns how much is left of what was read and of what follows it.
    pub(crate) fn size_hint_then(&self, rest: &SizeHint) -> SizeHint {
        let read = self.len as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }

    /// Gives what was read, then goes on with the body it was read from.
    pub(crate) fn poll_then<B>(
        &mut self,
        rest: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
    where
        B: Body<Data = Bytes>,
    {
        if let Some(data) = self.next_data() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let next = ready!(rest.poll_frame(cx));
        Poll::Ready(next.or_else(|| self.next_frame().map(Ok)))
    }
}
