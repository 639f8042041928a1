//! The sending side of a connection, shared by the request handler and the streams. A frame is never interleaved with another.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;

use crate::log::Slice;

/// Slices up to this length (the official client asks for a little over 1 MiB) go out with their header in one write; longer ones in pieces of it, so that memory stays bounded
/// whatever a client asks for.
const CHUNK: usize = (1 << 20) + (64 << 10);

#[derive(Debug, Clone)]
pub(crate) struct Writer {
    socket: Arc<Mutex<OwnedWriteHalf>>,
    /// Write a slice apart from its header, as the real server does (it sends the file with another system call).
    in_pieces: bool,
}

impl Writer {
    pub(crate) fn new(socket: OwnedWriteHalf, in_pieces: bool) -> Self {
        Self { socket: Arc::new(Mutex::new(socket)), in_pieces }
    }

    pub(crate) async fn frame(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.lock().await.write_all(frame).await
    }

    /// Sends a frame that ends with a slice of a file. `buffer` is kept by the caller for the next time.
    pub(crate) async fn frame_and_slice(&self, frame: &[u8], slice: &Slice, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut socket = self.socket.lock().await;
        let mut head = frame.len();
        if self.in_pieces {
            socket.write_all(frame).await?;
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
                let _ = socket.shutdown().await;
                return Err(error);
            }
            socket.write_all(bytes).await?;
            sent += piece;
            head = 0;
        }
        Ok(())
    }
}
