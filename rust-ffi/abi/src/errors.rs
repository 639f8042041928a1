//! What is known about an error.

use fluvio_cffi_engine::Error;

use crate::boundary::{OK, export, quiet};
use crate::bytes::flv_view_t;
use crate::handle;
use crate::status::{flv_error_t, flv_status_t};
use crate::structs::{self, growing};

/// What is known about an error. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_error_info_t {
    /// `sizeof(flv_error_info_t)`, set by the caller.
    pub struct_size: u32,
    /// The class of the error, the status that came with it.
    pub status: flv_status_t,
    /// The server's own error code, if `has_code`.
    pub code: i32,
    /// Not 0: a server answered `code`.
    pub has_code: u32,
    /// Not 0: trying again cannot do anything twice, and can succeed.
    pub retriable: u32,
    /// One of `FLV_OUTCOME_`.
    pub outcome: u32,
    /// One of `FLV_PHASE_`.
    pub phase: u32,
    /// The partition concerned; -1: not known.
    pub partition: i32,
    /// The offset concerned; -1: not known.
    pub offset: i64,
    /// The first offset that still exists; -1: not known.
    pub next_available: i64,
    /// What happened and what to do about it, UTF-8. Valid until the error is freed.
    pub message: flv_view_t,
    /// The topic concerned; empty: not known. Valid until the error is freed.
    pub topic: flv_view_t,
    /// `FLV_STATUS_SMARTMODULE`: the module's name; empty: not known. Valid until the error is freed.
    pub module: flv_view_t,
    /// `FLV_STATUS_SMARTMODULE`: what the module said; empty: not known. Valid until the error is freed.
    pub hint: flv_view_t,
    /// `FLV_STATUS_SMARTMODULE`: the key of the record that it failed on, if `has_key`. Valid until the error is freed.
    pub key: flv_view_t,
    /// Not 0: that record is known, and has a key.
    pub has_key: u32,
    /// The operating system's own error number (`errno`) if it is the cause; 0: it is not.
    pub os_error: i32,
    /// `FLV_STATUS_SMARTMODULE`: what the module is (`filter`, `map`, `array_map`, `filter_map`, `aggregate`); empty: not
    /// known. Static.
    pub module_kind: flv_view_t,
    /// `FLV_STATUS_SMARTMODULE`: the value of the record that it failed on, if `has_value`. Valid until the error is
    /// freed.
    pub value: flv_view_t,
    /// Not 0: that record is known.
    pub has_value: u32,
    /// `FLV_STATUS_SMARTMODULE` of a ticket: the index in its batch of the record that the module failed on; -1: not
    /// known.
    pub record_index: i32,
}

growing!(flv_error_info_t {
    struct_size,
    status,
    code,
    has_code,
    retriable,
    outcome,
    phase,
    partition,
    offset,
    next_available,
    message,
    topic,
    module,
    hint,
    key,
    has_key,
    os_error,
    module_kind,
    value,
    has_value,
    record_index
});

/// Tells what is known about an error. `info->struct_size` must be set. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_error_info(error: *const flv_error_t, info: *mut flv_error_info_t) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        // The views are into the object in the table.
        structs::write(info, "info", describe(&*handle::get(error)?))?;
        Ok(OK)
    })
}

fn text(text: Option<&str>) -> flv_view_t {
    flv_view_t::new(text.unwrap_or_default().as_bytes())
}

fn describe(error: &Error) -> flv_error_info_t {
    let failure = error.smart_module.as_deref();
    let key = failure.and_then(|failure| failure.key.as_deref());
    let value = failure.and_then(|failure| failure.value.as_deref());
    let index = failure.and_then(|failure| failure.record_index);
    flv_error_info_t {
        struct_size: 0,
        status: error.kind as flv_status_t,
        code: error.code.unwrap_or(0),
        has_code: error.code.is_some().into(),
        retriable: error.retriable.into(),
        outcome: error.outcome as u32,
        phase: error.phase as u32,
        partition: error.partition.and_then(|partition| i32::try_from(partition).ok()).unwrap_or(-1),
        offset: error.offset.unwrap_or(-1),
        next_available: error.next_available.unwrap_or(-1),
        message: flv_view_t::new(error.message.as_bytes()),
        topic: text(error.topic.as_deref()),
        module: text(failure.and_then(|failure| failure.module.as_deref())),
        hint: text(failure.and_then(|failure| failure.hint.as_deref())),
        key: flv_view_t::new(key.unwrap_or_default()),
        has_key: key.is_some().into(),
        os_error: error.os_error.unwrap_or(0),
        module_kind: text(failure.and_then(|failure| failure.kind)),
        value: flv_view_t::new(value.unwrap_or_default()),
        has_value: value.is_some().into(),
        record_index: index.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1),
    }
}

/// Frees an error. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_error_free(error: *mut flv_error_t) {
    quiet((), || {
        drop(handle::remove(error));
        Ok(())
    });
}
