//! The exports about queues.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use fluvio_cffi_engine::{Error, ErrorKind, Result};

use super::callback::{Callback, flv_callback_t, flv_finalizer_t};
use super::completion::flv_completion_t;
use super::signal::Signal;
use super::{Mode, Queue, flv_queue_t};
use crate::boundary::{OK, export, quiet};
use crate::handle;
use crate::pointer::{require, write_out};
use crate::status::{flv_error_t, flv_status_t};

fn make(queue: *mut *mut flv_queue_t, mode: Mode) -> Result<flv_status_t> {
    require(queue, "queue")?;
    write_out(queue, "queue", handle::insert(Arc::new(Queue::new(mode))))?;
    Ok(OK)
}

/// Makes a queue with a descriptor to wait on. The caller owns it until `flv_queue_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_queue_new(queue: *mut *mut flv_queue_t, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || {
        let signal = Signal::new().map_err(|cause| {
            Error::new(ErrorKind::Resource, format!("a queue cannot be made: {cause}")).caused_by(&cause)
        })?;
        make(queue, Mode::Descriptor(signal))
    })
}

/// Makes a queue that calls `callback` with each completion, on a thread of the library, exactly once an operation and
/// a ticket. `finalizer` is called once with `ctx` after the last call; NULL is fine. If this fails it is not called.
/// The caller owns the queue until `flv_queue_free`. Any thread.
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
        let function = callback.ok_or_else(|| Error::invalid("callback is NULL: it must be a function"))?;
        make(queue, Mode::Callback(Callback { function, ctx, finalizer }))
    })
}

/// The descriptor that is readable while completions wait, or a drain has to read a reply: for poll, epoll or an event
/// loop. It belongs to the library: never read, write or close it. -1 in callback mode. Valid until the queue is freed.
/// Any thread.
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
/// readable. The caller owns the results. Any thread, also several at a time: each completion goes to one of them.
/// `*count` is written last: another thread that sees it may take the completions as well.
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

/// Gives a queue up. Completions that wait, or come later, are disposed of; its operations go on. NULL is fine. Any
/// thread.
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
