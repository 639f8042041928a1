//! The completion queue: a list, a descriptor that is readable while it is not empty, and the operations under way.

#[cfg(target_os = "linux")]
mod watch;

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fluvio_cffi_engine::{Error, Result, descriptors};
#[cfg(target_os = "linux")]
use fluvio_cffi_engine::{Reader, Watch};
use tokio::task::AbortHandle;

use crate::boundary::{OK, export, quiet};
use crate::handle::{self, Handle, Kind};
use crate::pointer::{require, write_out};
use crate::status::{flv_error_t, flv_status_t};

/// What a completion is about.
#[repr(C)]
pub enum flv_completion_kind_e {
    /// Not one that this version knows.
    FLV_COMPLETION_UNKNOWN = 0,
    /// An operation ended.
    FLV_COMPLETION_OPERATION = 1,
    /// A ticket, that is a batch of records, was settled.
    FLV_COMPLETION_TICKET = 2,
}

pub(crate) const OPERATION: u32 = flv_completion_kind_e::FLV_COMPLETION_OPERATION as u32;
pub(crate) const TICKET: u32 = flv_completion_kind_e::FLV_COMPLETION_TICKET as u32;

/// The end of an operation, or the fate of a ticket. The layout is frozen: 56 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_completion_t {
    /// OPERATION: the submitter's token. TICKET: the ticket.
    pub token: u64,
    /// OPERATION: its id. TICKET: 0.
    pub operation: u64,
    /// How it ended.
    pub status: flv_status_t,
    /// One of `FLV_COMPLETION_`.
    pub kind: u32,
    /// With `FLV_STATUS_OK`: what the operation gives, owned by whoever drains, or NULL. Otherwise an `flv_error_t *`,
    /// owned likewise, or NULL.
    pub result: *mut c_void,
    /// TICKET: the offset of the batch's first record. OPERATION: what its function's comment says.
    pub value: i64,
    /// TICKET: how many records the batch has. OPERATION: 0.
    pub extra: i64,
    /// TICKET: the partition. OPERATION: 0.
    pub partition: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: `result` is a number in the handle table, never followed; the table may be used from any thread.
unsafe impl Send for flv_completion_t {}

impl flv_completion_t {
    /// A completion that carries the error `error`.
    pub(crate) fn set_error(&mut self, error: Error) {
        self.status = error.kind as flv_status_t;
        self.result = handle::insert::<flv_error_t>(Arc::new(error)).cast();
    }

    fn dispose(&self) {
        // Whatever it is: objects end when their last reference goes.
        handle::dispose(self.result, |kind| kind != Kind::Queue);
    }
}

/// A completion queue. May be used from any thread, and drained from several at a time.
pub struct flv_queue_t {
    _opaque: [u8; 0],
}

impl Handle for flv_queue_t {
    type Object = Queue;
    const KIND: Kind = Kind::Queue;
}

/// Called with each completion, on a thread of the library, perhaps on several at once. `*completion` is valid for the call,
/// its `result` is the callee's. Must not block, nor leave by an exception, nor call back into the library but for
/// `flv_operation_cancel`, `flv_completion_dispose`, `flv_error_info`, `flv_buffer_view` and the functions that free.
pub type flv_callback_t = Option<unsafe extern "C" fn(ctx: *mut c_void, completion: *const flv_completion_t)>;

/// Called once, on any thread, when `ctx` will not be used any more: after the owner gave the queue up, and the last
/// operation and producer that complete on it are over.
pub type flv_finalizer_t = Option<unsafe extern "C" fn(ctx: *mut c_void)>;

struct Callback {
    function: unsafe extern "C" fn(*mut c_void, *const flv_completion_t),
    ctx: *mut c_void,
    finalizer: flv_finalizer_t,
}

// SAFETY: the contract of callback mode is that `function` and `finalizer` may be called with `ctx` on any thread.
unsafe impl Send for Callback {}
// SAFETY: as above; nothing in it is ever changed.
unsafe impl Sync for Callback {}

impl Drop for Callback {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            // SAFETY: the caller gave both for this one call; nothing uses `ctx` after the last reference to the queue.
            unsafe { finalizer(self.ctx) };
        }
    }
}

/// A descriptor that is readable while it was signalled. On Linux it is an epoll instance, in which connections are watched
/// as well.
struct Signal {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
    #[cfg(target_os = "linux")]
    epoll: watch::Epoll,
}

impl Signal {
    #[cfg(target_os = "linux")]
    fn new() -> std::io::Result<Self> {
        // SAFETY: no memory is involved.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: just made, and owned by nobody else.
        let read = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let epoll = watch::Epoll::new()?;
        epoll.add(descriptor, watch::SIGNAL)?;
        descriptors::register(descriptor);
        Ok(Self { read, epoll })
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> std::io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: room for both ends.
        if unsafe { libc::pipe(ends.as_mut_ptr()) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        for end in ends {
            // SAFETY: a descriptor of ours, no memory is involved.
            unsafe {
                libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
                libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            descriptors::register(end);
        }
        // SAFETY: just made, and owned by nobody else.
        Ok(unsafe { Self { read: OwnedFd::from_raw_fd(ends[0]), write: OwnedFd::from_raw_fd(ends[1]) } })
    }

    fn descriptor(&self) -> RawFd {
        #[cfg(target_os = "linux")]
        return self.epoll.descriptor();
        #[cfg(not(target_os = "linux"))]
        return self.read.as_raw_fd();
    }

    fn set(&self) {
        let one = 1_u64.to_ne_bytes();
        #[cfg(target_os = "linux")]
        let write = &self.read;
        #[cfg(not(target_os = "linux"))]
        let write = &self.write;
        // SAFETY: eight readable bytes. Can only fail when it is readable already.
        unsafe { libc::write(write.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn clear(&self) {
        let mut bytes = [0_u8; 8];
        // SAFETY: eight writable bytes. Fails when a `set` is still to come, which then makes a spurious wake-up.
        unsafe { libc::read(self.read.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        descriptors::unregister(self.read.as_raw_fd());
        #[cfg(not(target_os = "linux"))]
        descriptors::unregister(self.write.as_raw_fd());
    }
}

enum Mode {
    Descriptor(Signal),
    Callback(Callback),
}

#[derive(Default)]
struct State {
    completions: VecDeque<flv_completion_t>,
    /// Whether the descriptor is readable, or about to be.
    signalled: bool,
    /// Whether the owner gave it up.
    closed: bool,
    running: HashMap<u64, AbortHandle>,
}

/// The queue behind a handle. Operations and producers keep references to it.
pub(crate) struct Queue {
    state: Mutex<State>,
    mode: Mode,
    #[cfg(target_os = "linux")]
    watched: watch::Watched,
}

/// Operation ids are unique in the process.
static NEXT_OPERATION: AtomicU64 = AtomicU64::new(1);
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many operations are under way.
pub(crate) fn running() -> usize {
    RUNNING.load(Ordering::Relaxed)
}

impl Queue {
    fn new(mode: Mode) -> Self {
        Self {
            state: Mutex::default(),
            mode,
            #[cfg(target_os = "linux")]
            watched: watch::Watched::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operation: `spawn` gets its id and gives what aborts it.
    pub(crate) fn begin(&self, spawn: impl FnOnce(u64) -> AbortHandle) -> Result<()> {
        // Held until the handle is stored, so that an operation which ends at once finds it.
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("queue"));
        }
        let id = NEXT_OPERATION.fetch_add(1, Ordering::Relaxed);
        RUNNING.fetch_add(1, Ordering::Relaxed);
        let handle = spawn(id);
        state.running.insert(id, handle);
        Ok(())
    }

    /// Queues a completion; wakes whoever waits on the descriptor.
    pub(crate) fn post(&self, completion: flv_completion_t) {
        let mut state = self.lock();
        if completion.kind == OPERATION && state.running.remove(&completion.operation).is_some() {
            RUNNING.fetch_sub(1, Ordering::Relaxed);
        }
        if state.closed {
            drop(state);
            return completion.dispose();
        }
        match &self.mode {
            Mode::Callback(callback) => {
                drop(state);
                // SAFETY: the contract of callback mode; the completion lives for the call.
                unsafe { (callback.function)(callback.ctx, &raw const completion) };
            }
            Mode::Descriptor(signal) => {
                state.completions.push_back(completion);
                let set = !std::mem::replace(&mut state.signalled, true);
                drop(state);
                if set {
                    signal.set();
                }
            }
        }
    }

    fn drain(&self, out: &mut [std::mem::MaybeUninit<flv_completion_t>]) -> usize {
        let is_quiet = self.read_watched();
        let mut state = self.lock();
        let count = out.len().min(state.completions.len());
        for (slot, completion) in out.iter_mut().zip(state.completions.drain(..count)) {
            slot.write(completion);
        }
        // Under the lock, and only when nothing is left: otherwise a wake-up could be lost. Whatever `signalled` says: a
        // `set` may come after the drain that took its completion, and would keep the descriptor readable for nothing. Where
        // nobody was to signal, the drain that finds nothing sees to that.
        if let Mode::Descriptor(signal) = &self.mode {
            if !state.completions.is_empty() {
                if is_quiet {
                    signal.set();
                }
            } else {
                state.signalled = false;
                if !is_quiet || count == 0 {
                    signal.clear();
                }
            }
        }
        count
    }

    /// Lets the connections be read that are watched here, and are readable. Whether nobody had signalled before: then nobody
    /// has since, as what completes meanwhile is taken by this very drain.
    #[cfg(target_os = "linux")]
    fn read_watched(&self) -> bool {
        let Mode::Descriptor(signal) = &self.mode else { return false };
        if self.watched.is_empty() {
            return false;
        }
        let is_quiet = !std::mem::replace(&mut self.lock().signalled, true);
        // Few are cheaper to try than to ask for.
        let readers = self.watched.few().unwrap_or_else(|| self.watched.of(signal.epoll.ready()));
        readers.iter().for_each(|reader| reader.read());
        is_quiet
    }

    #[cfg(not(target_os = "linux"))]
    fn read_watched(&self) -> bool {
        false
    }

    /// Watches a connection along with the completions. `None`: it has no descriptor, there are too many, or it was given up.
    #[cfg(target_os = "linux")]
    pub(crate) fn watch(self: &Arc<Self>, descriptor: RawFd, reader: Arc<dyn Reader>) -> Option<Watch> {
        let Mode::Descriptor(signal) = &self.mode else { return None };
        let id = self.watched.add(reader)?;
        let watch = watch::Entry { queue: Arc::clone(self), descriptor, id };
        signal.epoll.add(descriptor, id).ok()?;
        Some(Box::new(watch))
    }

    fn cancel(&self, operation: u64) {
        let handle = self.lock().running.get(&operation).cloned();
        if let Some(handle) = handle {
            handle.abort();
        }
    }

    fn close(&self) {
        let left = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.completions)
        };
        #[cfg(target_os = "linux")]
        self.watched.close();
        left.iter().for_each(flv_completion_t::dispose);
    }
}

fn make(queue: *mut *mut flv_queue_t, mode: Mode) -> Result<flv_status_t> {
    require(queue, "queue")?;
    write_out(queue, "queue", handle::insert(Arc::new(Queue::new(mode))))?;
    Ok(OK)
}

/// Makes a queue with a descriptor to wait on. The caller owns it until `flv_queue_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_queue_new(queue: *mut *mut flv_queue_t, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || {
        let signal = Signal::new()
            .map_err(|cause| Error::internal(format!("a queue cannot be made: {cause}")).caused_by(&cause))?;
        make(queue, Mode::Descriptor(signal))
    })
}

/// Makes a queue that calls `callback` with each completion, on a thread of the library, exactly once an operation and a
/// ticket. `finalizer` is called once with `ctx` after the last call; NULL is fine. If this fails it is not called. The
/// caller owns the queue until `flv_queue_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_queue_new_callback(
    callback: flv_callback_t,
    ctx: *mut c_void,
    finalizer: flv_finalizer_t,
    queue: *mut *mut flv_queue_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(queue, "queue")?;
        let function = callback.ok_or_else(|| Error::invalid("callback is NULL"))?;
        make(queue, Mode::Callback(Callback { function, ctx, finalizer }))
    })
}

/// The descriptor that is readable while completions wait, or a drain has to read a reply: for poll, epoll or an event loop.
/// It belongs to the library: never read, write or close it. -1 in callback mode. Valid until the queue is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_queue_fd(queue: *const flv_queue_t) -> i32 {
    quiet(-1, || {
        Ok(match &handle::get(queue)?.mode {
            Mode::Descriptor(signal) => signal.descriptor(),
            Mode::Callback(_) => -1,
        })
    })
}

/// Takes up to `capacity` completions; `*count` says how many. Never blocks. What does not fit keeps the descriptor
/// readable. The caller owns the results. Any thread, also several at a time: each completion goes to one of them. `*count`
/// is written last: another thread that sees it may take the completions as well.
#[unsafe(no_mangle)]
pub extern "C" fn flv_queue_drain(
    queue: *mut flv_queue_t,
    completions: *mut flv_completion_t,
    capacity: usize,
    count: *mut usize,
) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        write_out(count, "count", 0)?;
        let queue = handle::get(queue)?;
        if capacity == 0 {
            return Ok(OK);
        }
        require(completions, "completions")?;
        let capacity = capacity.min(isize::MAX as usize / size_of::<flv_completion_t>());
        // SAFETY: not null and aligned; the caller vouches for room for `capacity` completions, which need not be
        // initialised.
        let out = unsafe { std::slice::from_raw_parts_mut(completions.cast(), capacity) };
        let taken = queue.drain(out);
        fence(Ordering::Release);
        write_out(count, "count", taken)?;
        Ok(OK)
    })
}

/// Asks an operation to end. It completes all the same, exactly once: cancelled, or with what it had come to. The id of
/// an operation that is over, or never was, is ignored. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_operation_cancel(queue: *mut flv_queue_t, operation: u64) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        handle::get(queue)?.cancel(operation);
        Ok(OK)
    })
}

/// Gives a queue up. Completions that wait, or come later, are disposed of; its operations go on. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_queue_free(queue: *mut flv_queue_t) {
    quiet((), || {
        if let Some(queue) = handle::remove(queue) {
            queue.close();
        }
        Ok(())
    });
}

/// Frees the result of a completion that nobody wants, whatever it is. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_completion_dispose(completion: *const flv_completion_t) {
    quiet((), || {
        require(completion, "completion")?;
        // SAFETY: not null and aligned; the caller vouches for it.
        unsafe { completion.read() }.dispose();
        Ok(())
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn ticket(token: u64) -> flv_completion_t {
        flv_completion_t {
            token,
            operation: 0,
            status: OK,
            kind: TICKET,
            result: std::ptr::null_mut(),
            value: 0,
            extra: 0,
            partition: 0,
            reserved: 0,
        }
    }

    fn readable(queue: &Queue) -> bool {
        let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
        let mut poll = libc::pollfd { fd: signal.descriptor(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    fn tokens(queue: &Queue, capacity: usize) -> Vec<u64> {
        let mut out = vec![std::mem::MaybeUninit::uninit(); capacity];
        let count = queue.drain(&mut out);
        // SAFETY: a drain fills the first `count`.
        out[..count].iter().map(|one| unsafe { one.assume_init() }.token).collect()
    }

    #[test]
    fn readable_while_completions_wait() {
        let queue = Queue::new(Mode::Descriptor(Signal::new().unwrap()));
        assert!(!readable(&queue));
        (1..=3).for_each(|token| queue.post(ticket(token)));
        assert!(readable(&queue));
        assert_eq!(tokens(&queue, 2), [1, 2]);
        assert!(readable(&queue), "a drain that leaves something must leave the descriptor readable");
        assert_eq!(tokens(&queue, 2), [3]);
        assert!(!readable(&queue));
        queue.post(ticket(4));
        assert!(readable(&queue));
        assert_eq!(tokens(&queue, 2), [4]);
    }

    /// Reads a byte from `source`, and posts two completions for it.
    #[cfg(target_os = "linux")]
    struct Poster {
        queue: std::sync::Weak<Queue>,
        source: std::os::unix::net::UnixStream,
        ended: AtomicUsize,
    }

    #[cfg(target_os = "linux")]
    impl Reader for Poster {
        fn read(&self) {
            use std::io::Read;
            let mut byte = [0];
            if (&self.source).read(&mut byte).is_err() {
                return;
            }
            let queue = self.queue.upgrade().unwrap();
            queue.post(ticket(u64::from(byte[0])));
            queue.post(ticket(u64::from(byte[0]) + 100));
        }

        fn unwatched(&self) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_watched_connection_is_read_by_who_drains() {
        use std::io::Write;
        let queue = Arc::new(Queue::new(Mode::Descriptor(Signal::new().unwrap())));
        let (mut writer, source) = std::os::unix::net::UnixStream::pair().unwrap();
        source.set_nonblocking(true).unwrap();
        let descriptor = source.as_raw_fd();
        let reader = Arc::new(Poster { queue: Arc::downgrade(&queue), source, ended: AtomicUsize::new(0) });
        let watch = queue.watch(descriptor, Arc::<Poster>::clone(&reader)).unwrap();
        assert!(!readable(&queue));
        writer.write_all(&[1]).unwrap();
        assert!(readable(&queue));
        // What the reading brings is there at once; what has no room keeps the descriptor readable.
        assert_eq!(tokens(&queue, 1), [1]);
        assert!(readable(&queue));
        assert_eq!(tokens(&queue, 2), [101]);
        assert!(!readable(&queue));
        // Along with what others post, before and while it is read.
        queue.post(ticket(7));
        writer.write_all(&[2]).unwrap();
        assert_eq!(tokens(&queue, 9), [7, 2, 102]);
        assert!(!readable(&queue));
        // Many are asked for, instead of tried.
        let others: Vec<_> = (0..3).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
        let idle = |(_, source): &(_, std::os::unix::net::UnixStream)| {
            let source = source.try_clone().unwrap();
            source.set_nonblocking(true).unwrap();
            let descriptor = source.as_raw_fd();
            let reader = Poster { queue: Arc::downgrade(&queue), source, ended: AtomicUsize::new(0) };
            queue.watch(descriptor, Arc::new(reader)).unwrap()
        };
        let watches: Vec<_> = others.iter().map(idle).collect();
        writer.write_all(&[3]).unwrap();
        queue.post(ticket(8));
        assert_eq!(tokens(&queue, 9), [8, 3, 103]);
        assert!(!readable(&queue));
        drop(watches);
        // A signal that comes late wakes once.
        writer.write_all(&[4]).unwrap();
        assert_eq!(tokens(&queue, 9), [4, 104]);
        let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
        signal.set();
        assert!(tokens(&queue, 9).is_empty());
        assert!(!readable(&queue));
        queue.close();
        assert_eq!(reader.ended.load(Ordering::Relaxed), 1);
        assert!(queue.watch(descriptor, Arc::<Poster>::clone(&reader)).is_none(), "nobody drains any more");
        drop(watch);
        writer.write_all(&[5]).unwrap();
        assert!(!readable(&queue));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn not_too_many_are_watched() {
        let queue = Arc::new(Queue::new(Mode::Descriptor(Signal::new().unwrap())));
        let pairs: Vec<_> = (0..40).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
        let watch = |(_, source): &(_, std::os::unix::net::UnixStream)| {
            let source = source.try_clone().unwrap();
            let descriptor = source.as_raw_fd();
            let reader = Poster { queue: Arc::downgrade(&queue), source, ended: AtomicUsize::new(0) };
            queue.watch(descriptor, Arc::new(reader))
        };
        let watches: Vec<_> = pairs.iter().map_while(watch).collect();
        assert!(!watches.is_empty() && watches.len() < pairs.len());
        drop(watches);
        assert!(watch(&pairs[0]).is_some());
    }

    #[test]
    fn a_late_signal_wakes_once() {
        let queue = Queue::new(Mode::Descriptor(Signal::new().unwrap()));
        queue.post(ticket(1));
        assert_eq!(tokens(&queue, 2), [1]);
        // As if the poster had been held up between the lock and the write.
        let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
        signal.set();
        assert!(readable(&queue));
        assert!(tokens(&queue, 2).is_empty());
        assert!(!readable(&queue), "a wake-up for nothing must not repeat itself");
        queue.post(ticket(2));
        assert!(readable(&queue));
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        const COUNT: u64 = 20_000;
        let queue = Arc::new(Queue::new(Mode::Descriptor(Signal::new().unwrap())));
        let posters: Vec<_> = (0..2)
            .map(|poster| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || (0..COUNT).for_each(|i| queue.post(ticket(2 * i + poster))))
            })
            .collect();
        let mut seen = Vec::new();
        while seen.len() < 2 * COUNT as usize {
            let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
            let mut poll = libc::pollfd { fd: signal.descriptor(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry.
            assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 10_000) }, 1, "a wake-up was lost");
            seen.extend(tokens(&queue, 7));
        }
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..2 * COUNT));
        // Late signals may be left; one drain each ends them.
        tokens(&queue, 1);
        assert!(!readable(&queue));
    }
}
