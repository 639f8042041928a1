//! The descriptors that a forked child must close: the parent's connections would stay open in it otherwise.
//!
//! A fixed table of atomics, since the child walks it between `fork` and `exec`, where no lock and no allocation is
//! safe.

use std::sync::atomic::{AtomicI32, Ordering};

const EMPTY: i32 = -1;

/// More descriptors than this are not closed in a child: they cost it memory, not correctness.
static TABLE: [AtomicI32; 4096] = [const { AtomicI32::new(EMPTY) }; 4096];

/// Remembers `descriptor` until [`unregister`].
pub fn register(descriptor: i32) {
    for slot in &TABLE {
        if slot.load(Ordering::Relaxed) == EMPTY
            && slot.compare_exchange(EMPTY, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            return;
        }
    }
}

/// Forgets `descriptor`; to be called before it is closed, so that a reused number is never lost.
pub fn unregister(descriptor: i32) {
    for slot in &TABLE {
        if slot.load(Ordering::Relaxed) == descriptor
            && slot.compare_exchange(descriptor, EMPTY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            return;
        }
    }
}

/// Calls `f` with each remembered descriptor. Async-signal-safe if `f` is.
pub fn each(mut f: impl FnMut(i32)) {
    for slot in &TABLE {
        let descriptor = slot.load(Ordering::Acquire);
        if descriptor != EMPTY {
            f(descriptor);
        }
    }
}

/// How many descriptors are remembered.
pub fn count() -> usize {
    TABLE.iter().filter(|slot| slot.load(Ordering::Relaxed) != EMPTY).count()
}

/// Registers a descriptor for as long as it lives. Must be dropped before the descriptor is closed.
#[derive(Debug)]
pub(crate) struct Registered(i32);

impl Registered {
    pub(crate) fn new(descriptor: i32) -> Self {
        register(descriptor);
        Self(descriptor)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        unregister(self.0);
    }
}
