//! The library as a whole: its version, and what a host does when it ends.

use crate::boundary::{export, quiet};
use crate::bytes::flv_view_t;
use crate::operation::Request;
use crate::owner::{self, Owner};
use crate::pointer::fill;
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_t};

/// Major version of the ABI: another one is another interface.
const ABI_MAJOR: u32 = 0;
/// Minor version of the ABI: rises with each addition.
const ABI_MINOR: u32 = 2;

/// The version of the ABI, major in the upper 16 bits. Check it before anything else. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_abi_version() -> u32 {
    ABI_MAJOR << 16 | ABI_MINOR
}

/// The version of the library, such as "0.1.0". `*version` is valid for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_version(version: *mut flv_view_t) {
    fill(version, flv_view_t::new(env!("CARGO_PKG_VERSION").as_bytes()));
}

/// Completes when all records that producers have accepted until now are settled, also of producers and clients that
/// were freed, and what consumers with automatic commits have processed is committed; at the latest after `timeout_ms`.
/// Value: how many records are not settled. Everything goes on as before. If nothing is open, nothing is started:
/// `FLV_STATUS_EMPTY`. For a host that ends; any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_runtime_flush(
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || Owner::start_flush(owner::process(), Request { timeout_ms, queue, token, operation }))
}

/// Closes every client of the process, whoever owns it, within `timeout_ms` (negative: 0), producers flush, also those
/// that were freed; nobody can connect afterwards. For a host's exit. Blocks for up to that time; any thread but the
/// library's. `*dropped_records`: how many records were given up; NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn flv_runtime_shutdown(timeout_ms: i64, dropped_records: *mut u64) {
    fill(dropped_records, 0);
    quiet((), || {
        fill(dropped_records, owner::process().shut_down(timeout_ms)?);
        Ok(())
    });
}
