//! Completions that are told by calls.

use std::ffi::c_void;

use super::completion::flv_completion_t;

/// Called with each completion, on a thread of the library, perhaps on several at once. `*completion` is valid for the
/// call, its `result` is the callee's. Must not block, nor leave by an exception, nor call back into the library but
/// for `flv_operation_cancel`, `flv_completion_dispose`, `flv_error_info`, `flv_buffer_view` and the functions that
/// free.
pub type flv_callback_t = Option<unsafe extern "C" fn(ctx: *mut c_void, completion: *const flv_completion_t)>;

/// Called once, on any thread, when `ctx` will not be used any more: after the owner gave the queue up, and the last
/// operation and producer that complete on it are over.
pub type flv_finalizer_t = Option<unsafe extern "C" fn(ctx: *mut c_void)>;

pub(super) struct Callback {
    pub(super) function: unsafe extern "C" fn(*mut c_void, *const flv_completion_t),
    pub(super) ctx: *mut c_void,
    pub(super) finalizer: flv_finalizer_t,
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
