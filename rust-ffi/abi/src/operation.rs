//! Operations: one task each, which completes exactly once whatever becomes of it.

use std::ffi::c_void;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fluvio_cffi_engine::{Error, ErrorKind, Outcome, Phase, Result, TaskKind, maybe_panic, panic_error};

use crate::handle::{self, Entry, Handle};
use crate::pointer::{require, write_out};
use crate::queue::{OPERATION, Queue, flv_completion_t, flv_queue_t};
use crate::runtime::Runtime;
use crate::status::{flv_status_e, flv_status_t};

/// What every function that starts an operation ends in.
pub(crate) struct Request {
    pub(crate) timeout_ms: i64,
    pub(crate) queue: *mut flv_queue_t,
    pub(crate) token: u64,
    pub(crate) operation: *mut u64,
}

impl Request {
    /// How long it may take. `None`: as long as it needs.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        u64::try_from(self.timeout_ms).ok().map(Duration::from_millis)
    }
}

/// What an operation gives when it succeeds.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) object: Option<Entry>,
    pub(crate) value: i64,
}

impl Done {
    pub(crate) fn object<H: Handle>(object: Arc<H::Object>) -> Self {
        Self::entry(Entry::new::<H>(object))
    }

    pub(crate) fn entry(object: Entry) -> Self {
        Self { object: Some(object), value: 0 }
    }

    pub(crate) fn value(value: u64) -> Self {
        Self { object: None, value: value.min(i64::MAX as u64) as i64 }
    }
}

/// Posts the completion; dropped before, because the task was aborted or its runtime stopped, posts a cancellation.
struct Guard {
    queue: Arc<Queue>,
    completion: flv_completion_t,
    posted: bool,
}

impl Guard {
    fn finish(mut self, result: Result<Done>) {
        match result {
            Ok(Done { object, value }) => {
                self.completion.status = flv_status_e::FLV_STATUS_OK as flv_status_t;
                self.completion.value = value;
                self.completion.result = object.map_or(std::ptr::null_mut(), Entry::insert);
            }
            // A wait that ran out is no news worth an object.
            Err(error) if error.kind == ErrorKind::Timeout && error.message.is_empty() => {
                self.completion.status = error.kind as flv_status_t
            }
            Err(error) => self.completion.set_error(error),
        }
        self.posted = true;
        self.queue.post(self.completion);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.posted {
            match std::thread::panicking() {
                // While what had been cancelled was cleaned up.
                true => self.completion.set_error(Error::internal("an operation has panicked while it was cleaned up")),
                false => self.completion.status = flv_status_e::FLV_STATUS_CANCELLED as flv_status_t,
            }
            self.queue.post(self.completion);
        }
    }
}

/// Starts `work` as an operation on `runtime`. `overdue` says what a passed deadline means.
pub(crate) fn start(
    runtime: Arc<Runtime>,
    request: &Request,
    overdue: impl FnOnce(Duration) -> Error + Send + 'static,
    work: impl Future<Output = Result<Done>> + Send + 'static,
) -> Result<()> {
    require(request.operation, "operation")?;
    let queue = handle::get(request.queue)?;
    let timeout = request.timeout();
    let token = request.token;
    let tasks = runtime.handle()?.clone();
    Arc::clone(&queue).begin(|id| {
        // The caller knows the id before anything can complete. The pointer was checked.
        let _ = write_out(request.operation, "operation", id);
        let completion = flv_completion_t {
            token,
            operation: id,
            status: 0,
            kind: OPERATION,
            result: std::ptr::null_mut::<c_void>(),
            value: 0,
            extra: 0,
            partition: 0,
            reserved: 0,
        };
        let guard = Guard { queue, completion, posted: false };
        let task = async move {
            // Moved in as a whole: dropped with the task if it never runs. The runtime goes last.
            let (runtime, guard) = (runtime, guard);
            let work = async move {
                maybe_panic(TaskKind::Operation);
                match timeout {
                    None => work.await,
                    Some(timeout) => match tokio::time::timeout(timeout, work).await {
                        Ok(result) => result,
                        Err(_) => Err(overdue(timeout)),
                    },
                }
            };
            let result = futures_catch(AssertUnwindSafe(work)).await;
            guard.finish(result);
            drop(runtime);
        };
        tasks.spawn(task).abort_handle()
    })
}

/// The result of `work`; a panic in it is an error.
async fn futures_catch(work: AssertUnwindSafe<impl Future<Output = Result<Done>>>) -> Result<Done> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(move |cx| {
        let work = work.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
            Ok(poll) => poll,
            Err(payload) => std::task::Poll::Ready(Err(panic_error(&*payload))),
        }
    })
    .await
}

/// Starts `work` as an operation that ends by its deadline itself, of which it is told, and then says what kept it.
pub(crate) fn start_bounded<F>(
    runtime: Arc<Runtime>,
    request: Request,
    work: impl FnOnce(Option<Duration>) -> F,
) -> Result<()>
where
    F: Future<Output = Result<Done>> + Send + 'static,
{
    let work = work(request.timeout());
    start(runtime, &Request { timeout_ms: -1, ..request }, nothing_came, work)
}

/// What it means for a wait that its deadline passed: nothing more than that.
pub(crate) fn nothing_came(_: Duration) -> Error {
    Error::timeout(Phase::Read, "")
}

/// The usual meaning of a passed deadline.
pub(crate) fn overdue(phase: Phase, what: &'static str) -> impl FnOnce(Duration) -> Error {
    let outcome = match phase {
        // Nothing was submitted yet.
        Phase::Enqueue => Outcome::NotWritten,
        Phase::Flush => Outcome::Pending,
        _ => Outcome::None,
    };
    move |timeout| {
        Error::timeout(phase, format!("{what} took longer than {} s", timeout.as_secs_f64())).with_outcome(outcome)
    }
}
