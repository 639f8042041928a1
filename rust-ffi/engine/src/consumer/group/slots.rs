//! Where a member and its reader meet without a call: numbers that either of them reads at any time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
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

/// Bytes that a reader goes through in step with its records, so that looking costs it next to nothing: each is 1 as
/// long as nothing has changed that it has not looked at, else 0.
#[derive(Debug)]
pub struct Unchanged([AtomicU64; Self::COUNT / 8]);

impl Default for Unchanged {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Unchanged {
    /// How many there are.
    pub const COUNT: usize = 512;

    /// The first of them.
    pub fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    #[cfg(test)]
    pub(super) fn is_so(&self) -> bool {
        let said: Vec<u64> = self.0.iter().map(|eight| eight.load(Ordering::SeqCst)).collect();
        assert!(said.iter().all(|eight| *eight == said[0] && [0, 0x0101_0101_0101_0101].contains(eight)), "{said:?}");
        said[0] != 0
    }

    fn set(&self, is_so: bool) {
        let bytes = u64::from_ne_bytes([u8::from(is_so); 8]);
        self.0.iter().for_each(|eight| eight.store(bytes, Ordering::SeqCst));
    }
}

/// The numbers.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Until when records may be handed out.
    pub(crate) lease: Arc<AtomicI64>,
    /// Rises whenever an epoch changes, there is a change to be told, or the lease ends.
    pub(crate) changes: Arc<AtomicI64>,
    /// Whether it has risen since the reader last found that there was nothing to be told.
    pub(crate) unchanged: Arc<Unchanged>,
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

    /// The reader is to look at what may be handed out. Under the lock of the gate, as [`Self::looked_at`] is.
    pub(super) fn touch(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.unchanged.set(false);
    }

    /// The reader looks at it now.
    pub(super) fn looked_at(&self) {
        self.unchanged.set(true);
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
