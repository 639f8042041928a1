//! What waits in a queue, which operations are under way, and when the descriptor is readable. `rust-ffi/models`
//! tries all orders in which threads can do this; so the lock comes from whoever includes this file.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Wakeup;
use super::sync::{Mutex, MutexGuard};

struct State<C, A> {
    completions: VecDeque<C>,
    /// Whether the descriptor is readable, or about to be.
    signalled: bool,
    /// Whether the owner gave it up.
    closed: bool,
    /// What aborts each operation that is under way.
    running: HashMap<u64, A>,
}

/// The completions `C` of a queue, and its operations, each with what aborts it.
pub(super) struct Inbox<C, A> {
    state: Mutex<State<C, A>>,
    /// Counts the operations of all queues that are under way.
    count: &'static AtomicUsize,
}

impl<C, A: Clone> Inbox<C, A> {
    pub(super) fn new(count: &'static AtomicUsize) -> Self {
        let (completions, running) = (VecDeque::new(), HashMap::new());
        Self { state: Mutex::new(State { completions, signalled: false, closed: false, running }), count }
    }

    fn lock(&self) -> MutexGuard<'_, State<C, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operation by `spawn`, which gives what aborts it; false: the queue was given up.
    pub(super) fn begin(&self, id: u64, spawn: impl FnOnce() -> A) -> bool {
        // Held until what aborts it is stored, so that an operation which ends at once finds that.
        let mut state = self.lock();
        if !state.closed {
            self.count.fetch_add(1, Ordering::Relaxed);
            let abort = spawn();
            state.running.insert(id, abort);
        }
        !state.closed
    }

    /// `operation`, if one is given, is over. Whoever has its completion finds it uncounted.
    fn finish(&self, state: &mut State<C, A>, operation: Option<u64>) {
        if operation.is_some_and(|id| state.running.remove(&id).is_some()) {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends `operation`, if one is given, without queueing anything; false: the queue was given up.
    pub(super) fn end(&self, operation: Option<u64>) -> bool {
        let mut state = self.lock();
        self.finish(&mut state, operation);
        !state.closed
    }

    /// Queues a completion, that of `operation` if one is given, and wakes whoever waits; gives it back if the queue was
    /// given up.
    pub(super) fn post(&self, completion: C, operation: Option<u64>, wakeup: &impl Wakeup) -> Result<(), C> {
        let mut state = self.lock();
        self.finish(&mut state, operation);
        if state.closed {
            return Err(completion);
        }
        state.completions.push_back(completion);
        let set = !std::mem::replace(&mut state.signalled, true);
        drop(state);
        if set {
            wakeup.set();
        }
        Ok(())
    }

    /// Whether nobody had signalled before: from now on nobody does, until a drain that is told so.
    pub(super) fn quieten(&self) -> bool {
        !std::mem::replace(&mut self.lock().signalled, true)
    }

    /// Gives up to `most` completions to `take`; gives how many. `is_quiet`: see [`Self::quieten`]. `None`: there is
    /// nothing to wait on.
    pub(super) fn drain(
        &self,
        most: usize,
        is_quiet: bool,
        wakeup: Option<&impl Wakeup>,
        take: impl FnMut(C),
    ) -> usize {
        let mut state = self.lock();
        let count = most.min(state.completions.len());
        state.completions.drain(..count).for_each(take);
        // Under the lock, and only when nothing is left: otherwise a wake-up could be lost. Whatever `signalled` says:
        // a `set` may come after the drain that took its completion, and would keep the descriptor readable for
        // nothing. Where nobody was to signal, the drain that finds nothing sees to that.
        if let Some(wakeup) = wakeup {
            if !state.completions.is_empty() {
                if is_quiet {
                    wakeup.set();
                }
            } else {
                state.signalled = false;
                if !is_quiet || count == 0 {
                    wakeup.clear();
                }
            }
        }
        count
    }

    /// What aborts the operation, if it is under way.
    pub(super) fn abort(&self, operation: u64) -> Option<A> {
        self.lock().running.get(&operation).cloned()
    }

    /// Takes no completions any more; gives those that wait.
    pub(super) fn close(&self) -> VecDeque<C> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.completions)
    }
}
