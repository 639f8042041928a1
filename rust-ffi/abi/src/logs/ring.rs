//! What waits to be taken by one listener, and when its descriptor is readable. `rust-ffi/models` tries all orders in
//! which threads can do this; so the lock comes from whoever includes this file.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::Wakeup;
use super::sync::{Mutex, MutexGuard};

struct State<E> {
    /// With their numbers.
    entries: VecDeque<(u64, E)>,
    /// The number of the last one, whether it was kept or dropped.
    number: u64,
    dropped: u64,
    /// Whether the descriptor is readable, or about to be.
    signalled: bool,
    closed: bool,
}

/// Entries `E`, numbered from 1; those that find no place are dropped, and keep their numbers.
pub(super) struct Ring<E> {
    capacity: usize,
    state: Mutex<State<E>>,
}

impl<E: Clone> Ring<E> {
    pub(super) fn new(capacity: usize) -> Self {
        let entries = VecDeque::new();
        let state = State { entries, number: 0, dropped: 0, signalled: false, closed: false };
        Self { capacity, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no place for an entry, which is dropped then, and counted.
    pub(super) fn is_full(&self) -> bool {
        let mut state = self.lock();
        let is_full = state.entries.len() == self.capacity && !state.closed;
        if is_full {
            state.number += 1;
            state.dropped += 1;
        }
        is_full
    }

    /// One more entry, which is dropped if there is no place for it.
    pub(super) fn push(&self, entry: &E, wakeup: &impl Wakeup) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.number += 1;
        if state.entries.len() == self.capacity {
            state.dropped += 1;
            return;
        }
        let number = state.number;
        state.entries.push_back((number, entry.clone()));
        let set = !std::mem::replace(&mut state.signalled, true);
        drop(state);
        if set {
            wakeup.set();
        }
    }

    /// Takes up to `most` entries; and whether it is closed, so that none come after those.
    pub(super) fn take(&self, most: usize, wakeup: &impl Wakeup) -> (Vec<(u64, E)>, bool) {
        let mut state = self.lock();
        let count = most.min(state.entries.len());
        let taken = state.entries.drain(..count).collect();
        // Under the lock, and only when nothing is left: otherwise a wake-up could be lost. Whatever `signalled` says:
        // see the queue's inbox. Once it is closed it stays readable.
        if state.entries.is_empty() && !state.closed {
            state.signalled = false;
            wakeup.clear();
        }
        (taken, state.closed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Nothing more comes; what is there can be taken.
    pub(super) fn close(&self, wakeup: &impl Wakeup) {
        self.lock().closed = true;
        wakeup.set();
    }
}
