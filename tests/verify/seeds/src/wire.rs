//! What goes over the simulated network: frames, each with its length in front.

use std::io;

use bytes::{Buf, BufMut, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

pub(crate) async fn write(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).expect("a short frame");
    let mut bytes = Vec::with_capacity(4 + frame.len());
    bytes.put_u32(length);
    bytes.put_slice(frame);
    stream.write_all(&bytes).await
}

pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut frame = vec![0; usize::try_from((&length[..]).get_u32()).expect("a short frame")];
    stream.read_exact(&mut frame).await?;
    Ok(frame.into())
}
