use std::{error::Error, fmt};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;

/// Makes a body of some chunks, and trailers or an error at its end.
pub(crate) fn chunked(chunks: &[&'static str], end: End) -> Body {
    let data = chunks
        .iter()
        .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))));
    let end = match end {
        End::Clean => None,
        End::Broken => Some(Err(BrokenBody)),
        End::Trailer(name, value) => {
            let mut trailers = HeaderMap::new();
            trailers.insert(name, HeaderValue::from_static(value));
            Some(Ok(Frame::trailers(trailers)))
        }
    };
    Body::new(StreamBody::new(stream::iter(
        data.chain(end).collect::<Vec<_>>(),
    )))
}

/// Makes a body of what is sent, until the sender is dropped.
pub(crate) fn streamed() -> (Sender, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = stream::unfold(
        receiver,
        async |mut receiver: mpsc::UnboundedReceiver<_>| Some((receiver.recv().await?, receiver)),
    );
    (sender, Body::new(StreamBody::new(Box::pin(frames))))
}

pub(crate) type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, BrokenBody>>;

#[expect(clippy::unnecessary_wraps, reason = "it is what a sender takes")]
pub(crate) fn data(chunk: &'static str) -> Result<Frame<Bytes>, BrokenBody> {
    Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))
}

#[derive(Clone, Copy)]
pub(crate) enum End {
    Clean,
    Broken,
    Trailer(&'static str, &'static str),
}

/// The error of a body that breaks off.
#[derive(Debug)]
pub(crate) struct BrokenBody;

impl fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off")
    }
}

impl Error for BrokenBody {}
