//! Panics stop here: what a task of ours panicked with becomes an error for whoever waits, and nothing is printed.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;

use crate::error::{Error, Result};

/// The kinds of task that the library runs, for tests that make one of them panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TaskKind {
    /// One operation of the C ABI.
    Operation = 1,
    /// A watch of the cluster metadata.
    Metadata = 2,
    /// A producer's sender.
    Producer = 3,
    /// A consumer's reader.
    Consumer = 4,
    /// A watch.
    Watch = 5,
}

static ARMED: AtomicU32 = AtomicU32::new(0);

/// For tests: the next task of `kind` that takes a turn panics, once.
pub fn arm_panic(kind: TaskKind) {
    ARMED.store(kind as u32, Ordering::SeqCst);
}

/// Panics if a test armed this kind. One relaxed load otherwise.
#[allow(clippy::panic)]
pub fn maybe_panic(kind: TaskKind) {
    if ARMED.load(Ordering::Relaxed) == kind as u32
        && ARMED.compare_exchange(kind as u32, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    {
        panic!("a panic injected into a task of kind {kind:?}");
    }
}

thread_local! {
    /// Message and place of the last panic of this thread: the hook knows the place, the catcher only the payload.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Replaces this library's panic hook by one that prints nothing and keeps the place for [`panic_error`].
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let text = format!("{}{place}", payload_text(info.payload()));
        LAST_PANIC.with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = Some(text);
            }
        });
    }));
}

/// The error that stands for a caught panic.
pub fn panic_error(payload: &(dyn Any + Send)) -> Error {
    let kept = LAST_PANIC.with(|last| last.try_borrow_mut().ok().and_then(|mut last| last.take()));
    let text = kept.unwrap_or_else(|| payload_text(payload));
    if let Some(error) = Error::of_panic(&text) {
        return error;
    }
    Error::internal(text)
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic without a message".to_owned()
    }
}

/// What `work` comes to; if it panics, that is the error.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| panic_error(&*payload))
}

/// The same for `work` that does not wait.
pub(crate) fn attempt<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(panic_error(&*payload)))
}

/// Spawns `task`; if it panics, `on_panic` is called with the error, on the same runtime.
pub(crate) fn spawn(
    task: impl Future<Output = ()> + Send + 'static,
    on_panic: impl FnOnce(Error) + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(panic) = caught(task).await {
            on_panic(panic);
        }
    })
}
