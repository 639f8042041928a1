//! What every export does: refuse in a forked child, catch panics, hand out errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fluvio_cffi_engine::{Error, Result, panic_error};

use crate::handle::{self, Object};
use crate::runtime;
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
    if runtime::forked() {
        return FORKED;
    }
    match guarded(body) {
        Ok(status) => status,
        Err(cause) => {
            let status = cause.kind as flv_status_t;
            if !error.is_null() {
                let object = handle::insert(Object::Error(Box::new(cause)));
                // SAFETY: as above.
                unsafe { error.write(object.cast()) };
            }
            status
        }
    }
}

/// As [`export`], for exports that can only succeed or have nothing to say.
pub(crate) fn quiet<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    if runtime::forked() {
        return otherwise;
    }
    guarded(body).unwrap_or(otherwise)
}

/// Fills in what the caller asks for, if he asks: for exports that touch nothing of the library's, and so work in a forked
/// child too.
pub(crate) fn fill<T>(out: *mut T, value: T) {
    // Whoever passes NULL wants nothing.
    let _ = write_out(out, "out", value);
}

fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(panic_error(&*payload)))
}

/// Writes `value` to where the caller wants it.
pub(crate) fn write_out<T>(out: *mut T, name: &str, value: T) -> Result<()> {
    require(out, name)?;
    // SAFETY: not null and aligned; the contract of an out-argument is to point to writable memory for its type.
    unsafe { out.write(value) };
    Ok(())
}

/// An argument that must point somewhere.
pub(crate) fn require<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        Err(Error::invalid(format!("{name} is NULL")))
    } else if !pointer.is_aligned() {
        Err(Error::invalid(format!("{name} is {pointer:p}: it must be a multiple of {}", align_of::<T>())))
    } else {
        Ok(())
    }
}
