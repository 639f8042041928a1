//! Frames: a big-endian i32 length, then a request (header and body) or a reply (correlation id and body).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BufMut, BytesMut};
use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::{Decoder, Encoder};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::socket::Socket;

/// A longer frame is swallowed without being kept: the real servers wait for its bytes, and so do we, but without their
/// memory.
const MAX_FRAME: usize = 512 << 20;
/// Room is made in steps of at least this much, and never for more than has been received already: a length alone
/// allocates nothing.
const READ_STEP: usize = 256 << 10;
const FIRST_READ: usize = 16 << 10;

/// Bytes that the connections of the process hold of requests that are not whole yet, those with little of them aside.
/// One that wants more is ended: there is no telling which of them will ever be whole.
const MOST_HELD: usize = 1 << 30;
const LITTLE: usize = 1 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// What one connection holds of [`MOST_HELD`].
struct Share(usize);

impl Share {
    fn set(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = if bytes > LITTLE { bytes } else { 0 };
        if bytes != self.0 {
            HELD.fetch_sub(std::mem::replace(&mut self.0, bytes), Ordering::Relaxed);
            let others = HELD.fetch_add(bytes, Ordering::Relaxed);
            if bytes > 0 && others + bytes > MOST_HELD {
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, "too much is held of unfinished requests"));
            }
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Cuts a byte stream into frames.
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    share: Share,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: BytesMut::new(), share: Share(0) }
    }

    /// The next frame without its length, or None when the peer is done. Cancel safe: what was read stays in the
    /// buffer.
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
            self.share.set(self.buffer.capacity())?;
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

/// What no client asks for is not worth its memory and time: the connection is ended.
pub(crate) fn at_most(count: usize, most: usize, what: &str) -> io::Result<()> {
    if count <= most {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{count} {what}: {most} are the most")))
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

/// A reply frame to a given correlation id that announces `following` bytes more than it holds; they are written after
/// it.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_held_of_unfinished_requests_is_bounded_over_all_connections() {
        let (mut one, mut two) = (Share(0), Share(0));
        one.set(MOST_HELD - LITTLE).unwrap();
        two.set(LITTLE).unwrap();
        assert_eq!(two.set(3 * LITTLE).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        drop(two);
        let mut three = Share(0);
        assert!(three.set(3 * LITTLE).is_err());
        one.set(0).unwrap();
        three.set(4 * LITTLE).unwrap();
    }
}
