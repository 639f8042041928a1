//! What is ready for the caller: encoded chunks, within the prefetch budget, and how the stream ended.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Chunk, Take};
use crate::error::{Error, Result};

struct State {
    chunks: VecDeque<Chunk>,
    /// Bytes of their payloads.
    bytes: usize,
    /// Partitions whose start offset is not fixed yet.
    unresolved: usize,
    /// Partitions that are still read.
    reading: usize,
    /// Where the stream stands, behind the chunks.
    error: Option<Error>,
    stopped: bool,
    closed: bool,
}

/// The queue between the readers and the caller.
pub(crate) struct Chunks {
    state: Mutex<State>,
    budget: usize,
    /// The caller may look again.
    readable: Notify,
    /// The readers may go on, or shall end.
    room: Notify,
}

impl Chunks {
    pub(crate) fn new(partitions: usize, budget: usize) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            bytes: 0,
            unresolved: partitions,
            reading: partitions,
            error: None,
            stopped: false,
            closed: false,
        };
        Self { state: Mutex::new(state), budget, readable: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- the caller's side

    pub(crate) fn take(&self) -> Result<Take> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("consumer"));
        }
        if let Some(chunk) = state.chunks.pop_front() {
            let full = state.bytes >= self.budget;
            state.bytes -= chunk.payload.len();
            let freed = full && state.bytes < self.budget;
            drop(state);
            if freed {
                self.room.notify_waiters();
            }
            return Ok(Take::Chunk(chunk));
        }
        match &state.error {
            _ if state.stopped => Ok(Take::End),
            Some(error) => Err(error.clone()),
            None if state.reading == 0 => Ok(Take::End),
            None => Ok(Take::Empty),
        }
    }

    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.chunks.is_empty() && state.error.is_none() && state.reading > 0 && !state.stopped && !state.closed
    }

    pub(crate) async fn ready(&self) {
        self.until(&self.readable, || !self.is_empty()).await;
    }

    /// Waits until all start offsets are fixed, or the stream failed before.
    pub(crate) async fn resolved(&self) -> Result<()> {
        self.until(&self.readable, || {
            let state = self.lock();
            state.unresolved == 0 || state.error.is_some()
        })
        .await;
        let state = self.lock();
        match &state.error {
            Some(error) if state.unresolved > 0 => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn until(&self, bell: &Notify, holds: impl Fn() -> bool) {
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if holds() {
                return;
            }
            rung.await;
        }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.chunks.clear();
        state.bytes = 0;
        drop(state);
        self.wake_all();
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.chunks.clear();
        state.bytes = 0;
        drop(state);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.readable.notify_waiters();
        self.room.notify_waiters();
    }

    // ---- the readers' side

    /// Whether the readers shall end.
    pub(crate) fn over(&self) -> bool {
        let state = self.lock();
        state.closed || state.stopped || state.error.is_some() || state.reading == 0
    }

    /// Whether `bytes` more are within the budget.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.lock().bytes + bytes <= self.budget
    }

    /// Waits until there is room again, or the readers shall end.
    pub(crate) async fn wait_room(&self) {
        self.until(&self.room, || {
            let state = self.lock();
            state.bytes < self.budget || state.closed || state.stopped || state.error.is_some()
        })
        .await;
    }

    /// Waits until the readers shall end.
    pub(crate) async fn wait_over(&self) {
        self.until(&self.room, || self.over()).await;
    }

    pub(crate) fn push(&self, chunks: impl IntoIterator<Item = Chunk>) {
        let mut state = self.lock();
        if state.closed || state.stopped {
            return;
        }
        for chunk in chunks {
            state.bytes += chunk.payload.len();
            state.chunks.push_back(chunk);
        }
        drop(state);
        self.readable.notify_waiters();
    }

    /// One more start offset is fixed.
    pub(crate) fn resolve(&self) {
        self.lock().unresolved -= 1;
        self.readable.notify_waiters();
    }

    /// One partition was read to its end.
    pub(crate) fn finish(&self) {
        self.lock().reading -= 1;
        self.wake_all();
    }

    /// The stream stands at an error, behind what is ready.
    pub(crate) fn fail(&self, error: Error) {
        self.lock().error.get_or_insert(error);
        self.wake_all();
    }
}
