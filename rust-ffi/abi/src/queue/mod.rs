//! The completion queue: a list, a descriptor that is readable while it is not empty, and the operations under way.

mod callback;
mod completion;
mod exports;
mod inbox;
mod signal;
mod wakeup;
#[cfg(target_os = "linux")]
mod watched;

use std::mem::MaybeUninit;
#[cfg(target_os = "linux")]
use std::os::fd::RawFd;
// For the inbox.
use std::sync;
#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fluvio_cffi_engine::{Error, Result};
#[cfg(target_os = "linux")]
use fluvio_cffi_engine::{Reader, Watch};
use tokio::task::AbortHandle;

use crate::handle::{Handle, Kind};

use callback::Callback;
pub use callback::*;
pub use completion::*;
pub use exports::*;
use inbox::Inbox;
pub(crate) use signal::Signal;
pub(crate) use wakeup::Wakeup;
#[cfg(target_os = "linux")]
use watched::{Entry, Watched};

/// A completion queue. May be used from any thread, and drained from several at a time.
pub struct flv_queue_t {
    _opaque: [u8; 0],
}

impl Handle for flv_queue_t {
    type Object = Queue;
    const KIND: Kind = Kind::Queue;
}

enum Mode {
    Descriptor(Signal),
    Callback(Callback),
}

/// The queue behind a handle. Operations and producers keep references to it.
pub(crate) struct Queue {
    inbox: Inbox<flv_completion_t, AbortHandle>,
    mode: Mode,
    #[cfg(target_os = "linux")]
    watched: Watched,
}

/// Operation ids are unique in the process.
static NEXT_OPERATION: AtomicU64 = AtomicU64::new(1);
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many operations are under way.
pub(crate) fn running() -> usize {
    RUNNING.load(Ordering::Relaxed)
}

impl Queue {
    fn new(mode: Mode) -> Self {
        Self {
            inbox: Inbox::new(&RUNNING),
            mode,
            #[cfg(target_os = "linux")]
            watched: Watched::default(),
        }
    }

    /// Starts an operation: `spawn` gets its id and gives what aborts it.
    pub(crate) fn begin(&self, spawn: impl FnOnce(u64) -> AbortHandle) -> Result<()> {
        let id = NEXT_OPERATION.fetch_add(1, Ordering::Relaxed);
        if self.inbox.begin(id, || spawn(id)) { Ok(()) } else { Err(Error::closed("queue")) }
    }

    /// Queues a completion; wakes whoever waits on the descriptor.
    pub(crate) fn post(&self, completion: flv_completion_t) {
        let operation = (completion.kind == OPERATION).then_some(completion.operation);
        match &self.mode {
            Mode::Callback(callback) => match self.inbox.end(operation) {
                false => completion.dispose(),
                // SAFETY: the contract of callback mode; the completion lives for the call.
                true => unsafe { (callback.function)(callback.ctx, &raw const completion) },
            },
            Mode::Descriptor(signal) => {
                if let Err(completion) = self.inbox.post(completion, operation, signal) {
                    completion.dispose();
                }
            }
        }
    }

    fn drain(&self, out: &mut [MaybeUninit<flv_completion_t>]) -> usize {
        let is_quiet = self.read_watched();
        let signal = match &self.mode {
            Mode::Descriptor(signal) => Some(signal),
            Mode::Callback(_) => None,
        };
        let most = out.len();
        let mut slots = out.iter_mut();
        self.inbox.drain(most, is_quiet, signal, |completion| {
            if let Some(slot) = slots.next() {
                slot.write(completion);
            }
        })
    }

    /// Lets the connections be read that are watched here, and are readable. Whether nobody had signalled before: then
    /// nobody has since, as what completes meanwhile is taken by this very drain.
    #[cfg(target_os = "linux")]
    fn read_watched(&self) -> bool {
        let Mode::Descriptor(signal) = &self.mode else { return false };
        if self.watched.is_empty() {
            return false;
        }
        let is_quiet = self.inbox.quieten();
        // Few are cheaper to try than to ask for.
        let readers = self.watched.few().unwrap_or_else(|| self.watched.of(signal.epoll.ready()));
        readers.iter().for_each(|reader| reader.read());
        is_quiet
    }

    #[cfg(not(target_os = "linux"))]
    fn read_watched(&self) -> bool {
        false
    }

    /// Watches a connection along with the completions. `None`: it has no descriptor, there are too many, or it was
    /// given up.
    #[cfg(target_os = "linux")]
    pub(crate) fn watch(self: &Arc<Self>, descriptor: RawFd, reader: Arc<dyn Reader>) -> Option<Watch> {
        let Mode::Descriptor(signal) = &self.mode else { return None };
        let id = self.watched.add(reader)?;
        let watch = Entry { queue: Arc::clone(self), descriptor, id };
        signal.epoll.add(descriptor, id).ok()?;
        Some(Box::new(watch))
    }

    fn cancel(&self, operation: u64) {
        if let Some(handle) = self.inbox.abort(operation) {
            handle.abort();
        }
    }

    fn close(&self) {
        let left = self.inbox.close();
        #[cfg(target_os = "linux")]
        self.watched.close();
        left.iter().for_each(flv_completion_t::dispose);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
