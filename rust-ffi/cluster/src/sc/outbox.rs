//! What goes out on a connection to the SC, in order: replies, and the events of its watches.

use std::io;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::door::Replies;
use crate::faults::Faults;

/// Frames that may wait for a client that does not read. One more, and the connection is closed: a watch cannot skip an event.
const CAPACITY: usize = 4096;

/// A frame, and whether it is one that the real SC writes in two pieces.
struct Frame {
    bytes: Vec<u8>,
    in_pieces: bool,
}

/// The near end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    frames: mpsc::Sender<Frame>,
    overflow: Arc<Notify>,
}

/// The far end.
pub(crate) struct Outgoing {
    frames: mpsc::Receiver<Frame>,
    overflow: Arc<Notify>,
}

pub(crate) fn outbox() -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let overflow = Arc::new(Notify::new());
    (Outbox { frames: sender, overflow: Arc::clone(&overflow) }, Outgoing { frames: receiver, overflow })
}

impl Outbox {
    /// Queues a reply; waits while the queue is full.
    pub(crate) async fn reply(&self, bytes: Vec<u8>, in_pieces: bool) -> io::Result<()> {
        let frame = Frame { bytes, in_pieces };
        self.frames.send(frame).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Queues an event at once; false when nobody will get it.
    pub(crate) fn event(&self, bytes: Vec<u8>) -> bool {
        match self.frames.try_send(Frame { bytes, in_pieces: false }) {
            Ok(()) => true,
            Err(error) => {
                if matches!(error, mpsc::error::TrySendError::Full(_)) {
                    self.overflow.notify_one();
                }
                false
            }
        }
    }
}

impl Outgoing {
    /// Writes what is queued until the connection ends.
    pub(crate) async fn run(mut self, mut replies: Replies, faults: &Faults, like_real: bool) -> io::Result<()> {
        loop {
            let frame = tokio::select! {
                () = self.overflow.notified() => return Err(io::Error::other("client does not read its watches")),
                frame = self.frames.recv() => frame,
            };
            let Some(Frame { bytes, in_pieces }) = frame else { return Ok(()) };
            let at = if like_real && in_pieces { bytes.len().min(8) } else { bytes.len() };
            let (first, second) = bytes.split_at(at);
            faults.silence().await?;
            replies.write_all(first).await?;
            replies.write_all(second).await?;
        }
    }
}
