//! Where a member and its reader meet without a call: numbers that either of them reads at any time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::boottime::{boottime, nanoseconds};

/// Numbers by partition, each at a place of its own that stays.
#[derive(Debug, Default)]
struct Table(Mutex<BTreeMap<u32, Arc<AtomicI64>>>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<AtomicI64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place for a partition; -1 stands there until something else does.
    fn of(&self, partition: u32) -> Arc<AtomicI64> {
        Arc::clone(self.lock().entry(partition).or_insert_with(|| Arc::new(AtomicI64::new(-1))))
    }
}

/// The numbers.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Until when records may be handed out.
    pub(crate) lease: Arc<AtomicI64>,
    /// Rises whenever an epoch changes, or there is a change to be told.
    pub(crate) changes: Arc<AtomicI64>,
    /// When the reader last came back for more, as it says itself.
    pub(crate) came_back: Arc<AtomicI64>,
    /// When it last took something.
    took: AtomicI64,
    /// Under which epoch each partition may be handed out; -1: not at all.
    epochs: Table,
    /// The last record of each partition that is processed, for automatic commits; -1: none.
    marks: Table,
}

impl Slots {
    /// The epoch under which a partition may be handed out.
    pub(crate) fn epoch(&self, partition: u32) -> Arc<AtomicI64> {
        self.epochs.of(partition)
    }

    pub(super) fn set_epoch(&self, partition: u32, epoch: i64) {
        self.epochs.of(partition).store(epoch, Ordering::SeqCst);
        self.touch();
    }

    /// The last record of a partition that is processed.
    pub(crate) fn mark(&self, partition: u32) -> Arc<AtomicI64> {
        self.marks.of(partition)
    }

    /// What is marked as processed of a partition.
    pub(super) fn marked(&self, partition: u32) -> Option<i64> {
        Some(self.marks.of(partition).load(Ordering::SeqCst)).filter(|mark| *mark >= 0)
    }

    /// The reader is to look at what may be handed out.
    pub(super) fn touch(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether records may be handed out now.
    pub(crate) fn has_lease(&self) -> bool {
        self.lease.load(Ordering::SeqCst) > nanoseconds(boottime())
    }

    /// The reader takes something. Whether there is a lease for it.
    pub(crate) fn take(&self) -> bool {
        let now = nanoseconds(boottime());
        self.took.store(now, Ordering::Relaxed);
        self.lease.load(Ordering::SeqCst) > now
    }

    /// When the reader last gave a sign that it is at work.
    pub(super) fn seen(&self) -> i64 {
        self.took.load(Ordering::Relaxed).max(self.came_back.load(Ordering::Relaxed))
    }
}
