//! What a fork leaves in the child: a copy of the library in which no thread of it runs and any lock may be held. So
//! every export refuses there.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use fluvio_cffi_engine::descriptors;

static FORKED: AtomicBool = AtomicBool::new(false);
static WATCHED: Once = Once::new();

/// Whether this process is the child of one that had a runtime.
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// From here on a fork is noticed.
pub(crate) fn watch() {
    WATCHED.call_once(install);
}

#[cfg(unix)]
fn install() {
    extern "C" fn child() {
        in_child();
    }
    // SAFETY: the handler is a function of this library, which is never unloaded, and async-signal-safe.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

/// Async-signal-safe: atomics and close(2) only.
fn in_child() {
    if WATCHED.is_completed() && !FORKED.swap(true, Ordering::SeqCst) {
        descriptors::each(|descriptor| {
            // SAFETY: the parent's descriptor, which nothing in the child uses any more.
            unsafe { libc::close(descriptor) };
        });
    }
}

/// To be called in the child after a fork, if the host cannot rely on `pthread_atfork`: if the parent had connected,
/// every function says `FLV_STATUS_FORKED` from here on, and the inherited descriptors are closed. Async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn flv_fork_child() {
    in_child();
}
