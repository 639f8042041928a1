//! Documents, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::{Error, Result};
use serde::Serialize;

use crate::boundary::OK;
use crate::bytes::{buffer as bytes, flv_buffer_t};
use crate::pointer::write_out;
use crate::status::flv_status_t;

/// The document of a value.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| Error::internal(format!("a document cannot be written: {cause}")))
}

/// Makes `value` a document of the caller's, in `*buffer`, which is not NULL.
pub(crate) fn give(value: &impl Serialize, buffer: *mut *mut flv_buffer_t) -> Result<flv_status_t> {
    write_out(buffer, "json", bytes(json(value)?).insert().cast())?;
    Ok(OK)
}
