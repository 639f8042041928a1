//! Three kinds of bytes: borrowed from the caller, lent to the caller, owned by the caller.

use std::sync::Arc;

use fluvio_cffi_engine::{Error, Result};

use crate::boundary::{OK, export, quiet};
use crate::handle::{self, Entry, Handle, Kind};
use crate::pointer::{slice, write_out};
use crate::status::flv_status_t;

/// Bytes of the caller's, borrowed for one call. With `len` 0, `data` is ignored.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_slice_t {
    /// The first byte.
    pub data: *const u8,
    /// How many.
    pub len: usize,
}

/// Bytes of the library's, lent to the caller for as long as the function that gave them says.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_view_t {
    /// The first byte.
    pub data: *const u8,
    /// How many.
    pub len: usize,
}

/// Bytes that are the caller's, until `flv_buffer_free`.
pub struct flv_buffer_t {
    _opaque: [u8; 0],
}

impl Handle for flv_buffer_t {
    type Object = Box<[u8]>;
    const KIND: Kind = Kind::Buffer;
}

/// A buffer of `bytes` that is to have a handle.
pub(crate) fn buffer(bytes: Vec<u8>) -> Entry {
    Entry::new::<flv_buffer_t>(Arc::new(bytes.into()))
}

impl flv_view_t {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }
}

impl flv_slice_t {
    pub(crate) const EMPTY: Self = Self { data: std::ptr::null(), len: 0 };

    pub(crate) fn bytes(&self, name: &str) -> Result<&[u8]> {
        slice(self.data, self.len, name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        std::str::from_utf8(self.bytes(name)?).map_err(|cause| Error::invalid(format!("{name} is not UTF-8: {cause}")))
    }

    /// `None` if empty.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<String>> {
        Ok(Some(self.text(name)?).filter(|text| !text.is_empty()).map(str::to_owned))
    }
}

/// The bytes of a buffer; `*view` is valid until the buffer is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_buffer_view(buffer: *const flv_buffer_t, view: *mut flv_view_t) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        write_out(view, "view", flv_view_t::new(&handle::get(buffer)?))?;
        Ok(OK)
    })
}

/// Frees a buffer. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_buffer_free(buffer: *mut flv_buffer_t) {
    quiet((), || {
        drop(handle::remove(buffer));
        Ok(())
    });
}
