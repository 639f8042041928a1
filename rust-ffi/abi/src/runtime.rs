//! The process-wide tokio runtime: made with the first client, stopped with the last; and what a fork and an exit need.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock, Weak};
use std::time::Duration;

use fluvio_cffi_engine::{Error, ErrorKind, Result, clients, descriptors, install_panic_hook};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::boundary::{OK, export, fill, quiet};
use crate::bytes::flv_view_t;
use crate::client::ClientObject;
use crate::operation::{self, Done, Request};
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

/// Major version of the ABI: another one is another interface.
const ABI_MAJOR: u32 = 0;
/// Minor version of the ABI: rises with each addition.
const ABI_MINOR: u32 = 1;

static FORKED: AtomicBool = AtomicBool::new(false);
static SHUT_DOWN: AtomicBool = AtomicBool::new(false);
/// 0: not configured.
static WORKERS: AtomicU32 = AtomicU32::new(0);
static CURRENT: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());
static CLIENTS: Mutex<Vec<Weak<ClientObject>>> = Mutex::new(Vec::new());
static FIRST: Once = Once::new();

/// Whether this process is the child of one that had a runtime.
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// The runtime; everything that runs on it keeps a reference.
pub(crate) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// The running one, or a new one.
    pub(crate) fn acquire() -> Result<Arc<Self>> {
        if SHUT_DOWN.load(Ordering::SeqCst) {
            return Err(shut_down());
        }
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = current.upgrade() {
            return Ok(runtime);
        }
        FIRST.call_once(|| {
            install_panic_hook();
            install_fork_handler();
        });
        let workers = match WORKERS.load(Ordering::Relaxed) {
            // Half of the cores, for the other half runs the host: more only take turns with it.
            0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 2)),
            given => given as usize,
        };
        let runtime = Arc::new(Self(Some(build(workers)?)));
        *current = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    pub(crate) fn handle(&self) -> Result<&tokio::runtime::Handle> {
        self.0.as_ref().map(tokio::runtime::Runtime::handle).ok_or_else(|| Error::closed("runtime"))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // May run on one of its own threads, where waiting for them is impossible.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A runtime. Where the system has no thread for a worker this panics, which the caller makes an error of.
fn build(workers: usize) -> Result<tokio::runtime::Runtime> {
    use tokio::runtime::Builder;
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).thread_name("fluvio-cffi").enable_all();
    // Workers that a runtime has got before it panics stay for ever.
    if workers > 1 {
        check_threads(workers)?;
    }
    // And it would wait for them while it unwinds, unless it is where none may wait.
    let inside = Builder::new_current_thread().build().and_then(|outer| outer.block_on(async { builder.build() }));
    inside.map_err(|cause| Error::internal(format!("the library cannot be started: {cause}")).caused_by(&cause))
}

/// Fails unless so many threads can be had at a time. They do not count any more when this returns.
fn check_threads(count: usize) -> Result<()> {
    let gate = RwLock::new(());
    let wait = || {
        drop(gate.read());
        this_thread()
    };
    std::thread::scope(|scope| {
        let closed = gate.write();
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, wait);
        let threads: std::io::Result<Vec<_>> = (0..count).map(spawn).collect();
        drop(closed);
        let threads = threads.map_err(|cause| Error::no_thread("the library cannot be started", &cause))?;
        let deadline = Instant::now() + Duration::from_millis(100);
        // One that has ended counts until the system has forgotten it.
        let ended: Vec<PathBuf> = threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect();
        while ended.iter().any(|thread| thread.exists()) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        Ok(())
    })
}

/// Where the system shows the calling thread while it knows of it.
fn this_thread() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    // SAFETY: no memory is involved.
    return Some(format!("/proc/self/task/{}", unsafe { libc::gettid() }).into());
    #[cfg(not(target_os = "linux"))]
    None
}

fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, "the interpreter is ending, or another host: the library was shut down")
}

/// Remembers a client for [`flv_runtime_shutdown`]; one that connected too late for it is refused.
pub(crate) fn remember(client: &Arc<ClientObject>) -> Result<()> {
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if SHUT_DOWN.load(Ordering::SeqCst) {
        return Err(shut_down());
    }
    clients.retain(|client| client.strong_count() > 0);
    clients.push(Arc::downgrade(client));
    Ok(())
}

#[cfg(unix)]
fn install_fork_handler() {
    extern "C" fn child() {
        in_child();
    }
    // SAFETY: the handler is a function of this library, which is never unloaded, and async-signal-safe.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

/// Async-signal-safe: atomics and close(2) only.
fn in_child() {
    if FIRST.is_completed() && !FORKED.swap(true, Ordering::SeqCst) {
        descriptors::each(|descriptor| {
            // SAFETY: the parent's descriptor, which nothing in the child uses any more.
            unsafe { libc::close(descriptor) };
        });
    }
}

/// The version of the ABI, major in the upper 16 bits. Check it before anything else. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_abi_version() -> u32 {
    ABI_MAJOR << 16 | ABI_MINOR
}

/// The version of the library, such as "0.1.0". `*version` is valid for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_version(version: *mut flv_view_t) {
    fill(version, flv_view_t::new(env!("CARGO_PKG_VERSION").as_bytes()));
}

/// Sets the number of the library's threads (1 to 256; default: 2, or 1 on a single core). Before the first connect, else
/// `FLV_STATUS_USAGE`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_runtime_configure(worker_threads: u32, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || {
        if !(1..=256).contains(&worker_threads) {
            return Err(Error::invalid(format!("worker_threads is {worker_threads}: it must be from 1 to 256")));
        }
        if FIRST.is_completed() {
            return Err(Error::new(
                ErrorKind::Usage,
                "the runtime was started already: configure it before connecting",
            ));
        }
        WORKERS.store(worker_threads, Ordering::Relaxed);
        Ok(OK)
    })
}

/// To be called in the child after a fork, if the host cannot rely on `pthread_atfork`: if the parent had connected, every
/// function says `FLV_STATUS_FORKED` from here on, and the inherited descriptors are closed. Async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn flv_fork_child() {
    in_child();
}

/// Completes when all records that producers have accepted until now are settled, also of producers and clients that were
/// freed, and what consumers with automatic commits have processed is committed; at the latest after `timeout_ms`. Value: how
/// many records are not settled. Everything goes on as before. If nothing is open, nothing is started:
/// `FLV_STATUS_EMPTY`. For a host that ends; any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_runtime_flush(
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(runtime) = current else { return Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t) };
        let objects: Vec<_> = {
            let clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
            clients.iter().filter_map(Weak::upgrade).collect()
        };
        // The deadline is kept inside: the flush itself always succeeds.
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(runtime, request, |timeout| async move {
            let deadline = timeout.map(|timeout| Instant::now() + timeout);
            let mut commits = JoinSet::new();
            for client in objects {
                commits.spawn(async move { client.commit_marked(timeout).await });
            }
            let mut flushes = JoinSet::new();
            for client in clients() {
                flushes.spawn(async move { client.flush(deadline).await });
            }
            let unsettled = flushes.join_all().await.into_iter().sum();
            commits.join_all().await;
            Ok(Done::value(unsettled))
        })?;
        Ok(OK)
    })
}

/// Closes every client within `timeout_ms` (negative: 0), producers flush; nobody can connect afterwards. For a host's
/// exit. Blocks for up to that time; any thread but the library's. `*dropped_records`: how many records were given up;
/// NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn flv_runtime_shutdown(timeout_ms: i64, dropped_records: *mut u64) {
    fill(dropped_records, 0);
    quiet((), || {
        SHUT_DOWN.store(true, Ordering::SeqCst);
        let clients: Vec<_> = std::mem::take(&mut *CLIENTS.lock().unwrap_or_else(PoisonError::into_inner));
        let clients: Vec<_> = clients.iter().filter_map(Weak::upgrade).collect();
        let runtime = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let mut dropped = 0;
        if let Some(runtime) = runtime {
            let deadline = Instant::now() + Duration::from_millis(timeout_ms.max(0).unsigned_abs().min(3_600_000));
            dropped = runtime.handle()?.block_on(async move {
                let mut closing = JoinSet::new();
                for client in clients {
                    closing.spawn(async move { client.close(Some(deadline)).await });
                }
                let mut dropped = 0;
                while let Some(count) = closing.join_next().await {
                    dropped += count.unwrap_or_default();
                }
                dropped
            });
        }
        fill(dropped_records, dropped);
        Ok(())
    });
}
