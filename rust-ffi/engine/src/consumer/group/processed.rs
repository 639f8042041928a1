//! What the reader has marked as processed, for automatic commits.

use std::collections::HashMap;
use std::time::Duration;

use fluvio_cffi_group::Entry;
use tokio::time::Instant;

use super::Slots;

/// Commits marks, again and again.
pub(super) struct Marks {
    interval: Option<Duration>,
    next: Option<Instant>,
    /// By partition and epoch, what was committed last.
    committed: HashMap<(u32, i64), i64>,
}

impl Marks {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self { interval, next: interval.map(|interval| Instant::now() + interval), committed: HashMap::new() }
    }

    /// When they are to be committed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// The time has come.
    pub(super) fn begin_round(&mut self) {
        self.next = self.interval.map(|interval| Instant::now() + interval);
    }

    /// What is marked of a partition that is given up; nothing where commits are on demand.
    pub(super) fn of(&self, slots: &Slots, partition: u32) -> Option<i64> {
        slots.marked(partition).filter(|_| self.interval.is_some())
    }

    /// What is marked of what is owned, and is not committed yet.
    pub(super) fn take(&mut self, slots: &Slots, owned: &[(u32, i64)]) -> Vec<Entry> {
        self.committed.retain(|held, _| owned.contains(held));
        let mut entries = Vec::new();
        for &(partition, epoch) in owned {
            if let Some(offset) = self.of(slots, partition)
                && self.committed.insert((partition, epoch), offset) != Some(offset)
            {
                entries.push(Entry { partition, epoch, offset });
            }
        }
        entries
    }

    /// All that is marked of what is owned.
    pub(super) fn all(&self, slots: &Slots, owned: &[(u32, i64)]) -> Vec<Entry> {
        let marked = |(partition, epoch): &(u32, i64)| {
            Some(Entry { partition: *partition, epoch: *epoch, offset: self.of(slots, *partition)? })
        };
        owned.iter().filter_map(marked).collect()
    }
}
