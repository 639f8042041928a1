//! What goes out on a connection to the SC, in order: replies, and the events of its watches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::faults::Faults;
use crate::listener::Replies;
use crate::net;

/// Frames, and bytes of them, that may wait for a client that does not read. More, and the connection is closed: a
/// watch cannot skip an event. One frame alone may be larger.
const CAPACITY: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// Watches of one connection.
const MOST_WATCHES: usize = 1000;

/// A frame, and whether it is one that the real SC writes in two pieces.
struct Frame {
    bytes: Vec<u8>,
    in_pieces: bool,
    _room: OwnedSemaphorePermit,
}

/// What a frame takes of the room.
fn permits(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len().min(MOST_BYTES)).unwrap_or(u32::MAX)
}

/// The near end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    frames: mpsc::Sender<Frame>,
    room: Arc<Semaphore>,
    watches: Arc<AtomicUsize>,
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
    let (room, watches) = (Arc::new(Semaphore::new(MOST_BYTES)), Arc::default());
    (Outbox { frames: sender, room, watches, overflow: Arc::clone(&overflow) }, Outgoing { frames: receiver, overflow })
}

impl Outbox {
    /// Queues a reply; waits while the queue is full.
    pub(crate) async fn reply(&self, bytes: Vec<u8>, in_pieces: bool) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let room = Arc::clone(&self.room).acquire_many_owned(permits(&bytes)).await.map_err(|_| gone())?;
        self.frames.send(Frame { bytes, in_pieces, _room: room }).await.map_err(|_| gone())
    }

    /// Queues an event at once; false when nobody will get it.
    pub(crate) fn event(&self, bytes: Vec<u8>) -> bool {
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(permits(&bytes)) else {
            self.overflow.notify_one();
            return false;
        };
        match self.frames.try_send(Frame { bytes, in_pieces: false, _room: room }) {
            Ok(()) => true,
            Err(error) => {
                if matches!(error, mpsc::error::TrySendError::Full(_)) {
                    self.overflow.notify_one();
                }
                false
            }
        }
    }

    /// One more watch tells its events here.
    pub(crate) fn add_watch(&self) -> io::Result<()> {
        net::at_most(self.watches.fetch_add(1, Ordering::Relaxed) + 1, MOST_WATCHES, "watches of a connection")
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
            let Some(Frame { bytes, in_pieces, _room }) = frame else { return Ok(()) };
            let at = if like_real && in_pieces { bytes.len().min(8) } else { bytes.len() };
            let (first, second) = bytes.split_at(at);
            faults.silence().await?;
            replies.write_all(first).await?;
            replies.write_all(second).await?;
        }
    }
}
