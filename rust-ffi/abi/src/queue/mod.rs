//! The completion queue: a list, a descriptor that is readable while it is not empty, and the operations under way.

mod callback;
mod completion;
mod exports;
mod signal;
#[cfg(target_os = "linux")]
mod watched;

use std::collections::{HashMap, VecDeque};
#[cfg(target_os = "linux")]
use std::os::fd::RawFd;
#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fluvio_cffi_engine::{Error, Result};
#[cfg(target_os = "linux")]
use fluvio_cffi_engine::{Reader, Watch};
use tokio::task::AbortHandle;

use crate::handle::{Handle, Kind};

use callback::Callback;
pub use callback::*;
pub use completion::*;
pub use exports::*;
pub(crate) use signal::Signal;
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

#[derive(Default)]
struct State {
    completions: VecDeque<flv_completion_t>,
    /// Whether the descriptor is readable, or about to be.
    signalled: bool,
    /// Whether the owner gave it up.
    closed: bool,
    running: HashMap<u64, AbortHandle>,
}

/// The queue behind a handle. Operations and producers keep references to it.
pub(crate) struct Queue {
    state: Mutex<State>,
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
            state: Mutex::default(),
            mode,
            #[cfg(target_os = "linux")]
            watched: Watched::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operation: `spawn` gets its id and gives what aborts it.
    pub(crate) fn begin(&self, spawn: impl FnOnce(u64) -> AbortHandle) -> Result<()> {
        // Held until the handle is stored, so that an operation which ends at once finds it.
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("queue"));
        }
        let id = NEXT_OPERATION.fetch_add(1, Ordering::Relaxed);
        RUNNING.fetch_add(1, Ordering::Relaxed);
        let handle = spawn(id);
        state.running.insert(id, handle);
        Ok(())
    }

    /// Queues a completion; wakes whoever waits on the descriptor.
    pub(crate) fn post(&self, completion: flv_completion_t) {
        let mut state = self.lock();
        if completion.kind == OPERATION && state.running.remove(&completion.operation).is_some() {
            RUNNING.fetch_sub(1, Ordering::Relaxed);
        }
        if state.closed {
            drop(state);
            return completion.dispose();
        }
        match &self.mode {
            Mode::Callback(callback) => {
                drop(state);
                // SAFETY: the contract of callback mode; the completion lives for the call.
                unsafe { (callback.function)(callback.ctx, &raw const completion) };
            }
            Mode::Descriptor(signal) => {
                state.completions.push_back(completion);
                let set = !std::mem::replace(&mut state.signalled, true);
                drop(state);
                if set {
                    signal.set();
                }
            }
        }
    }

    fn drain(&self, out: &mut [std::mem::MaybeUninit<flv_completion_t>]) -> usize {
        let is_quiet = self.read_watched();
        let mut state = self.lock();
        let count = out.len().min(state.completions.len());
        for (slot, completion) in out.iter_mut().zip(state.completions.drain(..count)) {
            slot.write(completion);
        }
        // Under the lock, and only when nothing is left: otherwise a wake-up could be lost. Whatever `signalled` says:
        // a `set` may come after the drain that took its completion, and would keep the descriptor readable for
        // nothing. Where nobody was to signal, the drain that finds nothing sees to that.
        if let Mode::Descriptor(signal) = &self.mode {
            if !state.completions.is_empty() {
                if is_quiet {
                    signal.set();
                }
            } else {
                state.signalled = false;
                if !is_quiet || count == 0 {
                    signal.clear();
                }
            }
        }
        count
    }

    /// Lets the connections be read that are watched here, and are readable. Whether nobody had signalled before: then
    /// nobody has since, as what completes meanwhile is taken by this very drain.
    #[cfg(target_os = "linux")]
    fn read_watched(&self) -> bool {
        let Mode::Descriptor(signal) = &self.mode else { return false };
        if self.watched.is_empty() {
            return false;
        }
        let is_quiet = !std::mem::replace(&mut self.lock().signalled, true);
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
        let handle = self.lock().running.get(&operation).cloned();
        if let Some(handle) = handle {
            handle.abort();
        }
    }

    fn close(&self) {
        let left = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.completions)
        };
        #[cfg(target_os = "linux")]
        self.watched.close();
        left.iter().for_each(flv_completion_t::dispose);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
