//! The ring of one listener, and what it wants to hear.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fluvio_cffi_engine::Result;

use super::entry::{Entry, TARGETS};
use crate::queue::{Signal, Wakeup};

/// So many entries wait to be taken; those that come then are dropped.
pub(super) const CAPACITY: usize = 4096;

#[derive(Debug, Default)]
struct Ring {
    /// With their numbers.
    entries: VecDeque<(u64, Arc<Entry>)>,
    /// The number of the last one, whether it was kept or dropped.
    number: u64,
    dropped: u64,
    /// Whether the descriptor is readable, or about to be.
    signalled: bool,
    closed: bool,
}

/// What [`Listener::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Entries,
    Empty,
    /// It was closed, and all was taken.
    End,
}

/// Somebody who listens.
pub(crate) struct Listener {
    /// The number of the owner whose clients it wants to hear of; 0: of all.
    owner: u64,
    levels: [AtomicU8; TARGETS.len()],
    ring: Mutex<Ring>,
    signal: Signal,
    /// What was taken last, which is lent.
    pub(super) lent: Mutex<Vec<(u64, Arc<Entry>)>>,
}

impl Listener {
    pub(super) fn new(owner: u64, level: u8) -> std::io::Result<Self> {
        Ok(Self {
            owner,
            levels: std::array::from_fn(|_| AtomicU8::new(level)),
            ring: Mutex::default(),
            signal: Signal::new()?,
            lent: Mutex::default(),
        })
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.signal.descriptor()
    }

    /// The most that it wants to hear of a target.
    pub(super) fn level(&self, target: usize) -> u8 {
        self.levels.get(target).map_or(0, |level| level.load(Ordering::Relaxed))
    }

    /// Sets that for one target, or for all.
    pub(super) fn set_level(&self, target: Option<usize>, level: u8) {
        for (number, its) in self.levels.iter().enumerate() {
            if target.is_none_or(|target| target == number) {
                its.store(level, Ordering::Relaxed);
            }
        }
    }

    /// Whether it wants to hear of something about the client of `owner`.
    pub(super) fn wants(&self, target: usize, level: u8, owner: u64) -> bool {
        level <= self.level(target) && (self.owner == 0 || self.owner == owner)
    }

    /// Whether there is no place for an entry, which is dropped then, and counted.
    pub(super) fn is_full(&self) -> bool {
        let mut ring = self.ring();
        let is_full = ring.entries.len() == CAPACITY && !ring.closed;
        if is_full {
            ring.number += 1;
            ring.dropped += 1;
        }
        is_full
    }

    /// One more entry, which is dropped if there is no place for it.
    pub(super) fn push(&self, entry: &Arc<Entry>) {
        let mut ring = self.ring();
        if ring.closed {
            return;
        }
        ring.number += 1;
        if ring.entries.len() == CAPACITY {
            ring.dropped += 1;
            return;
        }
        let number = ring.number;
        ring.entries.push_back((number, Arc::clone(entry)));
        let set = !std::mem::replace(&mut ring.signalled, true);
        drop(ring);
        if set {
            self.signal.set();
        }
    }

    /// Takes up to `most` entries, which `give` gets and which are lent until the next take.
    pub(super) fn take(&self, most: usize, give: impl FnOnce(&[(u64, Arc<Entry>)]) -> Result<()>) -> Result<Taken> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ring = self.ring();
        let count = most.min(ring.entries.len());
        let taken: Vec<_> = ring.entries.drain(..count).collect();
        // Under the lock, and only when nothing is left: otherwise a wake-up could be lost. Once it is closed it stays
        // readable.
        if ring.entries.is_empty() && !ring.closed {
            ring.signalled = false;
            self.signal.clear();
        }
        let is_over = ring.closed;
        drop(ring);
        if taken.is_empty() {
            return Ok(if is_over { Taken::End } else { Taken::Empty });
        }
        *lent = taken;
        give(&lent)?;
        Ok(Taken::Entries)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.ring().dropped
    }

    /// Nothing more comes; what is there can be taken.
    pub(super) fn close(&self) {
        self.ring().closed = true;
        self.signal.set();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry() -> Arc<Entry> {
        Arc::new(Entry { time: 0, level: 2, target: 0, message: String::new(), fields: String::new() })
    }

    fn take(listener: &Listener, most: usize) -> (Taken, Vec<u64>) {
        let mut numbers = Vec::new();
        let taken = listener.take(most, |entries| {
            numbers.extend(entries.iter().map(|(number, _)| *number));
            Ok(())
        });
        (taken.unwrap(), numbers)
    }

    #[test]
    fn what_has_no_place_is_dropped_and_counted_by_all_threads() {
        const EACH: u64 = 20_000;
        let listener = Listener::new(0, 5).unwrap();
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            if !listener.is_full() {
                                listener.push(&entry());
                            }
                        }
                    })
                })
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                seen.extend(take(&listener, 100).1);
            }
        });
        listener.close();
        loop {
            match take(&listener, 1000) {
                (Taken::End, _) => break,
                (_, numbers) => seen.extend(numbers),
            }
        }
        assert!(seen.is_sorted());
        assert_eq!(seen.len() as u64 + listener.dropped(), 8 * EACH);
        assert_eq!(listener.ring().number, 8 * EACH);
    }

    #[test]
    fn nothing_comes_once_it_is_closed() {
        let listener = Listener::new(0, 5).unwrap();
        listener.push(&entry());
        assert_eq!(take(&listener, 10), (Taken::Entries, vec![1]));
        assert_eq!(take(&listener, 10).0, Taken::Empty);
        listener.close();
        listener.push(&entry());
        assert_eq!((take(&listener, 10).0, listener.dropped()), (Taken::End, 0));
    }

    #[test]
    fn it_hears_of_its_owners_clients_and_what_its_levels_allow() {
        let listener = Listener::new(7, 2).unwrap();
        listener.set_level(Some(1), 4);
        assert!(listener.wants(0, 2, 7) && listener.wants(1, 4, 7));
        assert!(!listener.wants(0, 3, 7) && !listener.wants(0, 2, 8) && !listener.wants(0, 2, 0));
        let all = Listener::new(0, 2).unwrap();
        assert!(all.wants(0, 1, 7) && all.wants(0, 1, 0));
        all.set_level(None, 0);
        assert!(!all.wants(0, 1, 7));
    }
}
