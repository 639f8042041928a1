//! The library as a whole: its version, and what a host does when it ends.

use std::time::Duration;

use fluvio_cffi_engine::{Client, clients};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::boundary::{OK, export, quiet};
use crate::bytes::flv_view_t;
use crate::closing::{close_all, commit_all};
use crate::operation::{self, Done, Request};
use crate::pointer::fill;
use crate::queue::flv_queue_t;
use crate::runtime;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

/// Major version of the ABI: another one is another interface.
const ABI_MAJOR: u32 = 0;
/// Minor version of the ABI: rises with each addition.
const ABI_MINOR: u32 = 1;

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
    export(error, || {
        let Some(runtime) = runtime::running() else { return Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t) };
        // The deadline is kept inside: the flush itself always succeeds.
        let request = Request { timeout_ms, queue, token, operation };
        let opened = runtime::connected();
        operation::start_bounded(runtime, request, |timeout| async move {
            let deadline = timeout.map(|timeout| Instant::now() + timeout);
            let flush = |client: Client| async move { client.flush(deadline).await };
            let flushes = clients().into_iter().map(flush).collect::<JoinSet<u64>>().join_all();
            let (unsettled, ()) = tokio::join!(flushes, commit_all(opened, timeout));
            Ok(Done::value(unsettled.into_iter().sum()))
        })?;
        Ok(OK)
    })
}

/// Closes every client within `timeout_ms` (negative: 0), producers flush; nobody can connect afterwards. For a host's
/// exit. Blocks for up to that time; any thread but the library's. `*dropped_records`: how many records were given up;
/// NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn flv_runtime_shutdown(timeout_ms: i64, dropped_records: *mut u64) {
    fill(dropped_records, 0);
    quiet((), || {
        runtime::end();
        let mut dropped = 0;
        if let Some(runtime) = runtime::running() {
            let deadline = Instant::now() + Duration::from_millis(timeout_ms.max(0).unsigned_abs().min(3_600_000));
            dropped = runtime.handle()?.block_on(close_all(runtime::connected(), Some(deadline)));
        }
        fill(dropped_records, dropped);
        Ok(())
    });
}
