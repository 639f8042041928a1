//! Numbers for objects, each given once. `rust-ffi/models` tries all orders in which threads can use them; so
//! the lock comes from whoever includes this file.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::sync::RwLock;
use super::sync::atomic::{AtomicUsize, Ordering};

/// Multiples of 16, as real pointers would be. The first page is left out.
const FIRST: usize = 0x1000;
const STEP: usize = 16;

/// The objects that have a number. An object is dropped by who takes it out, with no lock held.
pub(super) struct Table<T> {
    next: AtomicUsize,
    entries: RwLock<HashMap<usize, T>>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { next: AtomicUsize::new(FIRST), entries: RwLock::new(HashMap::new()) }
    }

    /// Gives an object its number.
    pub(super) fn insert(&self, entry: T) -> usize {
        let number = self.next.fetch_add(STEP, Ordering::Relaxed);
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(number, entry);
        number
    }

    /// What `found` makes of the object, if there is one of that number.
    pub(super) fn find<R>(&self, number: usize, found: impl FnOnce(&T) -> R) -> Option<R> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&number).map(found)
    }

    /// Takes the object of that number out, if it is `wanted`.
    pub(super) fn take(&self, number: usize, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.get(&number).is_some_and(wanted).then(|| entries.remove(&number)).flatten()
    }

    /// How many objects are `wanted`.
    pub(super) fn count(&self, wanted: impl Fn(&T) -> bool) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().filter(|entry| wanted(entry)).count()
    }
}
