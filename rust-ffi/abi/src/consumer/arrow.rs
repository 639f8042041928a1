//! What is lent in the Arrow format, as an object of its own.

use std::sync::PoisonError;

use fluvio_cffi_engine::{Error, ErrorKind};

use super::flv_consumer_t;
use crate::arrow::flv_arrow_t;
use crate::boundary::{OK, export};
use crate::handle;
use crate::pointer::{require, write_out};
use crate::status::{flv_error_t, flv_status_t};

/// The records of the chunk that is lent, with `FLV_FORMAT_ARROW`. `*arrow` is yours, until `flv_arrow_free`, and may
/// live longer than the consumer. The thread that takes.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_arrow(
    consumer: *mut flv_consumer_t,
    arrow: *mut *mut flv_arrow_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        require(arrow, "arrow")?;
        let lent = consumer.lent.lock().unwrap_or_else(PoisonError::into_inner).arrow.clone();
        let lent = lent.ok_or_else(|| {
            let text = "nothing is lent in the Arrow format: take a chunk first, with the format FLV_FORMAT_ARROW";
            Error::new(ErrorKind::Usage, text)
        })?;
        write_out(arrow, "arrow", handle::insert(lent))?;
        Ok(OK)
    })
}
