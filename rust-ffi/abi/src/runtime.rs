//! The process-wide tokio runtime: made with the first client, stopped with the last.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use fluvio_cffi_engine::{Error, ErrorKind, Result, install_panic_hook};

use crate::boundary::{OK, export};
use crate::fork;
use crate::status::{flv_error_t, flv_status_t};

/// 0: not configured.
static WORKERS: AtomicU32 = AtomicU32::new(0);
static CURRENT: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());
static FIRST: Once = Once::new();

/// The runtime; everything that runs on it keeps a reference.
pub(crate) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// The running one, or a new one.
    pub(crate) fn acquire() -> Result<Arc<Self>> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = current.upgrade() {
            return Ok(runtime);
        }
        FIRST.call_once(|| {
            install_panic_hook();
            fork::watch();
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
    inside.map_err(|cause: io::Error| {
        Error::new(ErrorKind::Resource, format!("the library cannot be started: {cause}")).caused_by(&cause)
    })
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

/// The runtime, if one runs.
pub(crate) fn running() -> Option<Arc<Runtime>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
}

/// Sets the number of the library's threads (1 to 256; default: 2, or 1 on a single core). Before the first connect,
/// else `FLV_STATUS_USAGE`. Any thread.
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
