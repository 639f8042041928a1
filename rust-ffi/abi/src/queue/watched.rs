//! Connections that are watched along with a queue's completions.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fluvio_cffi_engine::{Reader, descriptors};

use super::{Mode, Queue};

/// Stands for the queue's own signal.
pub(super) const SIGNAL: u64 = 0;
/// So many are read without being asked for.
const FEW: usize = 2;
/// Connections watched at a time, at most.
const MOST: usize = 16;

/// An epoll instance, level-triggered.
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no memory is involved.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        descriptors::register(descriptor);
        // SAFETY: just made, and owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn add(&self, descriptor: RawFd, id: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, id)
    }

    fn control(&self, what: i32, descriptor: RawFd, id: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: id };
        // SAFETY: a descriptor of ours, and one event, which the kernel reads.
        match unsafe { libc::epoll_ctl(self.descriptor(), what, descriptor, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What is readable now.
    pub(super) fn ready(&self) -> impl Iterator<Item = u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST + 1];
        // SAFETY: room for as many events as it says. A failure, which is -1, means none.
        let count = unsafe { libc::epoll_wait(self.descriptor(), events.as_mut_ptr(), events.len() as i32, 0) };
        events.into_iter().take(usize::try_from(count).unwrap_or(0)).map(|event| event.u64)
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        descriptors::unregister(self.descriptor());
    }
}

#[derive(Default)]
struct Readers {
    by_id: HashMap<u64, Arc<dyn Reader>>,
    last: u64,
    closed: bool,
}

/// Who reads the connections that are watched.
#[derive(Default)]
pub(super) struct Watched {
    readers: Mutex<Readers>,
    count: AtomicUsize,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// All of them, if they are few.
    pub(super) fn few(&self) -> Option<Vec<Arc<dyn Reader>>> {
        let readers = self.lock();
        (readers.by_id.len() <= FEW).then(|| readers.by_id.values().cloned().collect())
    }

    /// Whom to tell of what is readable under the number that this gives; no more of them: `None`.
    pub(super) fn add(&self, reader: Arc<dyn Reader>) -> Option<u64> {
        let mut readers = self.lock();
        if readers.closed || readers.by_id.len() >= MOST {
            return None;
        }
        readers.last += 1;
        let id = readers.last;
        readers.by_id.insert(id, reader);
        self.count.store(readers.by_id.len(), Ordering::Relaxed);
        Some(id)
    }

    fn remove(&self, id: u64) {
        let mut readers = self.lock();
        readers.by_id.remove(&id);
        self.count.store(readers.by_id.len(), Ordering::Relaxed);
    }

    /// Those with these numbers; the queue's own signal has none.
    pub(super) fn of(&self, ids: impl Iterator<Item = u64>) -> Vec<Arc<dyn Reader>> {
        let readers = self.lock();
        ids.filter_map(|id| readers.by_id.get(&id).cloned()).collect()
    }

    /// Nobody drains any more.
    pub(super) fn close(&self) {
        let readers: Vec<_> = {
            let mut readers = self.lock();
            readers.closed = true;
            readers.by_id.values().cloned().collect()
        };
        readers.iter().for_each(|reader| reader.unwatched());
    }
}

/// A connection that is watched until this goes, which must be before it is closed.
pub(super) struct Entry {
    pub(super) queue: Arc<Queue>,
    pub(super) descriptor: RawFd,
    pub(super) id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Mode::Descriptor(signal) = &self.queue.mode {
            // It fails only for one that was never added.
            let _ = signal.epoll.control(libc::EPOLL_CTL_DEL, self.descriptor, self.id);
        }
        self.queue.watched.remove(self.id);
    }
}
