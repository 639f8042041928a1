//! The sending side of a connection, shared by the request handler and the streams. A frame is never interleaved with
//! another.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::faults::Faults;
use crate::listener::Replies;
use crate::log::Slice;

/// Slices up to this length (the official client asks for a little over 1 MiB) go out with their header in one write;
/// longer ones in pieces of it, so that memory stays bounded whatever a client asks for.
const CHUNK: usize = (1 << 20) + (64 << 10);

/// The replies of a connection, and where pieces of files are put together for them.
struct Outgoing {
    replies: Replies,
    buffer: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Writer {
    outgoing: Arc<Mutex<Outgoing>>,
    faults: Arc<Faults>,
    /// Write a slice apart from its header, as the real server does (it sends the file with another system call).
    in_pieces: bool,
}

impl Writer {
    pub(crate) fn new(replies: Replies, faults: Arc<Faults>, in_pieces: bool) -> Self {
        Self { outgoing: Arc::new(Mutex::new(Outgoing { replies, buffer: Vec::new() })), faults, in_pieces }
    }

    /// Answers a request. One that was taken up before the server was stalled is answered still.
    pub(crate) async fn reply(&self, frame: &[u8]) -> io::Result<()> {
        self.faults.delay().await;
        self.outgoing.lock().await.replies.write_all(frame).await
    }

    /// Sends a frame of a stream.
    pub(crate) async fn frame(&self, frame: &[u8]) -> io::Result<()> {
        self.faults.delay().await;
        self.faults.silence().await?;
        self.outgoing.lock().await.replies.write_all(frame).await
    }

    /// Sends a frame of a stream that ends with a slice of a file.
    pub(crate) async fn frame_and_slice(&self, frame: &[u8], slice: &Slice) -> io::Result<()> {
        self.faults.delay().await;
        self.faults.silence().await?;
        let mut outgoing = self.outgoing.lock().await;
        let Outgoing { replies, buffer } = &mut *outgoing;
        let mut head = frame.len();
        if self.in_pieces {
            replies.write_all(frame).await?;
            head = 0;
        }
        let mut sent = 0;
        while sent < slice.length {
            let piece = (slice.length - sent).min(CHUNK);
            if buffer.len() < head + piece {
                buffer.resize(head + piece, 0);
            }
            let bytes = &mut buffer[..head + piece];
            bytes[..head].copy_from_slice(&frame[..head]);
            if let Err(error) = slice.file.read_exact_at(&mut bytes[head..], slice.position + sent as u64) {
                // The frame has begun: there is no way to say it, and nothing may follow it.
                replies.end().await;
                return Err(error);
            }
            replies.write_all(bytes).await?;
            sent += piece;
            head = 0;
        }
        Ok(())
    }
}
