//! Frames: a big-endian i32 length, then a request (header and body) or a reply (correlation id and body).

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, BufMut, BytesMut};
use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::{Decoder, Encoder};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::socket::Socket;

/// A longer frame is swallowed without being kept: the real servers wait for its bytes, and so do we, but without their memory.
const MAX_FRAME: usize = 512 << 20;
/// Room is made in steps of at least this much, and never for more than has been received already: a length alone allocates nothing.
const READ_STEP: usize = 256 << 10;
const FIRST_READ: usize = 16 << 10;

/// Cuts a byte stream into frames.
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: BytesMut::new() }
    }

    /// The next frame without its length, or None when the peer is done. Cancel safe: what was read stays in the buffer.
    pub(crate) async fn next(&mut self) -> io::Result<Option<BytesMut>> {
        loop {
            let mut wanted = FIRST_READ;
            if let Some(head) = self.buffer.first_chunk::<4>() {
                let declared = i32::from_be_bytes(*head);
                let Some(length) = usize::try_from(declared).ok().filter(|&length| length <= MAX_FRAME) else {
                    return self.swallow().await;
                };
                if self.buffer.len() - 4 >= length {
                    self.buffer.advance(4);
                    return Ok(Some(self.buffer.split_to(length)));
                }
                let missing = length + 4 - self.buffer.len();
                wanted = missing.min(READ_STEP.max(self.buffer.len())).max(FIRST_READ);
            }
            self.buffer.reserve(wanted);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Waits for the end of a frame that will not come, keeping nothing.
    async fn swallow(&mut self) -> io::Result<Option<BytesMut>> {
        self.buffer = BytesMut::new();
        let mut scratch = [0_u8; 4096];
        while self.source.read(&mut scratch).await? != 0 {}
        Ok(None)
    }
}

/// Bytes of requests that a stalled server takes in; then it stops reading.
const MAX_HELD: usize = 64 << 20;

/// The requests of a connection. While the server is stalled they are read and held back.
pub(crate) struct Requests {
    frames: FrameReader<Box<dyn AsyncRead + Send + Unpin>>,
    socket: Socket,
    held: VecDeque<BytesMut>,
    held_bytes: usize,
    stalled: watch::Receiver<bool>,
}

impl Requests {
    /// What `source` gives, which reads from `socket`.
    pub(crate) fn new(
        source: Box<dyn AsyncRead + Send + Unpin>,
        socket: Socket,
        stalled: watch::Receiver<bool>,
    ) -> Self {
        Self { frames: FrameReader::new(source), socket, held: VecDeque::new(), held_bytes: 0, stalled }
    }

    /// The next request, or None when the peer is done (what is held back then is dropped).
    pub(crate) async fn next(&mut self) -> io::Result<Option<BytesMut>> {
        loop {
            let stalled = *self.stalled.borrow_and_update();
            if !stalled && let Some(frame) = self.held.pop_front() {
                self.held_bytes -= frame.len();
                return Ok(Some(frame));
            }
            let frame = tokio::select! {
                // A frame that came after a stall was ordered is not served.
                biased;
                // The sender lives as long as the cluster; without it there is nothing to wait for.
                changed = self.stalled.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(None),
                },
                frame = self.frames.next(), if self.held_bytes < MAX_HELD => frame?,
            };
            match frame {
                Some(frame) if stalled => {
                    self.held_bytes += frame.len();
                    self.held.push_back(frame);
                }
                frame => return Ok(frame),
            }
        }
    }

    /// Lets the connection end with a reset, whatever is still under way.
    pub(crate) fn reset_on_close(&self) {
        self.socket.reset_on_close();
    }
}

/// The header of a request and where its body begins.
pub(crate) fn request_header(frame: &[u8]) -> io::Result<(RequestHeader, usize)> {
    let mut rest = frame;
    let header = RequestHeader::decode_from(&mut rest, 0)?;
    if header.api_version() < 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "negative api version"));
    }
    Ok((header, frame.len() - rest.len()))
}

/// A whole reply frame.
pub(crate) fn reply<T: Encoder>(header: &RequestHeader, body: &T) -> io::Result<Vec<u8>> {
    reply_to(header.correlation_id(), header.api_version(), body, 0)
}

/// A reply frame to a given correlation id that announces `following` bytes more than it holds; they are written after it.
pub(crate) fn reply_to<T: Encoder>(
    correlation_id: i32,
    version: i16,
    body: &T,
    following: usize,
) -> io::Result<Vec<u8>> {
    let mut frame = Vec::with_capacity(8 + body.write_size(version));
    frame.put_i32(0);
    frame.put_i32(correlation_id);
    body.encode(&mut frame, version)?;
    let length = i32::try_from(frame.len() - 4 + following)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "reply too long"))?;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_be_bytes();
    }
    Ok(frame)
}
