//! What every export does: refuse in a forked child, catch panics, hand out errors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fluvio_cffi_engine::{Result, panic_error};

use crate::fork::forked;
use crate::handle;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

pub(crate) const OK: flv_status_t = flv_status_e::FLV_STATUS_OK as flv_status_t;
pub(crate) const FORKED: flv_status_t = flv_status_e::FLV_STATUS_FORKED as flv_status_t;

/// Runs the body of an export. An error goes to `*error`, if the caller wants it.
///
/// In a forked child nothing is run and no error is made: another thread may have held a lock when the process forked.
pub(crate) fn export(error: *mut *mut flv_error_t, body: impl FnOnce() -> Result<flv_status_t>) -> flv_status_t {
    if !error.is_null() {
        // SAFETY: not null, and the contract of `error` is to point to a writable `flv_error_t *`.
        unsafe { error.write(std::ptr::null_mut()) };
    }
    if forked() {
        return FORKED;
    }
    match guarded(body) {
        Ok(status) => status,
        Err(cause) => {
            let status = cause.kind as flv_status_t;
            if !error.is_null() {
                let object = handle::insert(Arc::new(cause.in_short()));
                // SAFETY: as above.
                unsafe { error.write(object) };
            }
            status
        }
    }
}

/// As [`export`], for exports that can only succeed or have nothing to say.
pub(crate) fn quiet<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    if forked() {
        return otherwise;
    }
    guarded(body).unwrap_or(otherwise)
}

fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(panic_error(&*payload)))
}
