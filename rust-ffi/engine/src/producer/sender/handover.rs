//! How work passes between callers' threads and a task: who comes first does it, and nothing is left lying with nobody
//! awake. `rust-ffi/models` tries all orders in which threads can come; so the lock comes from whoever includes this
//! file.

use std::sync::PoisonError;

use super::sync::{Mutex, MutexGuard};

/// A task, which does what is to be done when it is woken. Woken while it is at work, it looks once more.
pub(super) trait Wake {
    /// Wakes it.
    fn wake(&self);
}

/// The work `W`, under its lock, and the task that does what nobody else does.
#[derive(Debug, Default)]
pub(super) struct Handover<W, T> {
    work: Mutex<W>,
    pub(super) task: T,
}

impl<W, T: Wake> Handover<W, T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, W> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the work done by `here`, unless somebody else is at it: never waits. Wakes the task if `here` does not say
    /// that nothing is left to it.
    pub(super) fn here_or_wake(&self, here: impl FnOnce(&mut W) -> bool) {
        let is_done = self.work.try_lock().is_ok_and(|mut work| here(&mut work));
        if !is_done {
            // Whoever is at it may have looked before what is to be done was there.
            self.task.wake();
        }
    }
}
