use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Splits a stream of RESP into whole values. May be dropped between them.
pub(super) struct Values<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Values<R> {
    pub(super) fn of(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// Returns the next value with all that belongs to it; none at the end.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            if let Some(length) = length(&self.buffer) {
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Returns what was read and not returned, and the rest of the stream.
    pub(super) fn into_rest(self) -> (BytesMut, R) {
        (self.buffer, self.stream)
    }
}

/// Returns the length of the first value, if it is whole.
fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let mut end = line + 2;
    let number = || {
        let digits = std::str::from_utf8(&bytes[1..line]).expect("a length");
        digits.parse::<i64>().expect("a length")
    };
    match bytes[0] {
        b'$' | b'=' | b'!' => {
            let length = number();
            if length >= 0 {
                end += usize::try_from(length).expect("a length") + 2;
            }
        }
        kind @ (b'*' | b'~' | b'>' | b'%') => {
            for _ in 0..number().max(0) * if kind == b'%' { 2 } else { 1 } {
                end += length(&bytes[end..])?;
            }
        }
        _ => {}
    }
    (end <= bytes.len()).then_some(end)
}

/// Returns the words of a command.
pub(super) fn words(command: &Bytes) -> Vec<Bytes> {
    let mut words = Vec::new();
    let mut rest = command.clone();
    skip_line(&mut rest);
    while !rest.is_empty() {
        let length = skip_line(&mut rest);
        words.push(rest.split_to(length));
        let _ = rest.split_to(2);
    }
    words
}

/// Skips a line, and returns the number in it.
fn skip_line(rest: &mut Bytes) -> usize {
    let end = rest.windows(2).position(|window| window == b"\r\n");
    let line = rest.split_to(end.expect("a whole command") + 2);
    let number = std::str::from_utf8(&line[1..line.len() - 2]).expect("a length");
    number.parse().expect("a length")
}
