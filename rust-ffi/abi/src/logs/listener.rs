//! One who listens: what it wants to hear, and what it has taken.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fluvio_cffi_engine::Result;

use super::entry::{Entry, TARGETS};
use super::ring::Ring;
use crate::queue::Signal;

/// So many entries wait to be taken; those that come then are dropped.
pub(super) const CAPACITY: usize = 4096;

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
    ring: Ring<Arc<Entry>>,
    signal: Signal,
    /// What was taken last, which is lent.
    pub(super) lent: Mutex<Vec<(u64, Arc<Entry>)>>,
}

impl Listener {
    pub(super) fn new(owner: u64, level: u8) -> std::io::Result<Self> {
        Ok(Self {
            owner,
            levels: std::array::from_fn(|_| AtomicU8::new(level)),
            ring: Ring::new(CAPACITY),
            signal: Signal::new()?,
            lent: Mutex::default(),
        })
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
        self.ring.is_full()
    }

    /// One more entry, which is dropped if there is no place for it.
    pub(super) fn push(&self, entry: &Arc<Entry>) {
        self.ring.push(entry, &self.signal);
    }

    /// Takes up to `most` entries, which `give` gets and which are lent until the next take.
    pub(super) fn take(&self, most: usize, give: impl FnOnce(&[(u64, Arc<Entry>)]) -> Result<()>) -> Result<Taken> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, is_over) = self.ring.take(most, &self.signal);
        if taken.is_empty() {
            return Ok(if is_over { Taken::End } else { Taken::Empty });
        }
        *lent = taken;
        give(&lent)?;
        Ok(Taken::Entries)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.ring.dropped()
    }

    /// Nothing more comes; what is there can be taken.
    pub(super) fn close(&self) {
        self.ring.close(&self.signal);
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
        while let (Taken::Entries, numbers) = take(&listener, 1000) {
            seen.extend(numbers);
        }
        assert!(seen.is_sorted());
        assert_eq!(seen.len() as u64 + listener.dropped(), 8 * EACH);
        listener.push(&entry());
        assert_eq!(take(&listener, 1).1, [8 * EACH + 1]);
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
