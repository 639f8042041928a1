//! What a queue tells: the layout is that of the C interface.

use std::ffi::c_void;
use std::sync::Arc;

use fluvio_cffi_engine::Error;

use crate::handle::{self, Kind};
use crate::status::{flv_error_t, flv_status_t};

/// What a completion is about.
#[repr(C)]
pub enum flv_completion_kind_e {
    /// Not one that this version knows.
    FLV_COMPLETION_UNKNOWN = 0,
    /// An operation ended.
    FLV_COMPLETION_OPERATION = 1,
    /// A ticket, that is a batch of records, was settled.
    FLV_COMPLETION_TICKET = 2,
}

pub(crate) const OPERATION: u32 = flv_completion_kind_e::FLV_COMPLETION_OPERATION as u32;
pub(crate) const TICKET: u32 = flv_completion_kind_e::FLV_COMPLETION_TICKET as u32;

/// The end of an operation, or the fate of a ticket. The layout is frozen: 56 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_completion_t {
    /// OPERATION: the submitter's token. TICKET: the ticket.
    pub token: u64,
    /// OPERATION: its id. TICKET: 0.
    pub operation: u64,
    /// How it ended.
    pub status: flv_status_t,
    /// One of `FLV_COMPLETION_`.
    pub kind: u32,
    /// With `FLV_STATUS_OK`: what the operation gives, owned by whoever drains, or NULL. Otherwise an `flv_error_t *`,
    /// owned likewise, or NULL.
    pub result: *mut c_void,
    /// TICKET: the offset of the batch's first record; -1: nobody knows it. OPERATION: what its function's comment says.
    pub value: i64,
    /// TICKET: how many records the batch has. OPERATION: 0.
    pub extra: i64,
    /// TICKET: the partition. OPERATION: 0.
    pub partition: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: `result` is a number in the handle table, never followed; the table may be used from any thread.
unsafe impl Send for flv_completion_t {}

impl flv_completion_t {
    /// A completion that carries the error `error`.
    pub(crate) fn set_error(&mut self, error: Error) {
        self.status = error.kind as flv_status_t;
        self.result = handle::insert::<flv_error_t>(Arc::new(error.in_short())).cast();
    }

    /// Frees what it carries.
    pub(super) fn dispose(&self) {
        // Whatever it is: objects end when their last reference goes.
        handle::dispose(self.result, |kind| kind != Kind::Queue);
    }
}
