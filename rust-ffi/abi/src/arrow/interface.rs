//! The structures of the Arrow C data interface, as its specification has them. Whoever gets one owns it, may move it,
//! and calls its `release` once, on any thread.

use std::ffi::{c_char, c_int, c_void};

use fluvio_cffi_engine::{Error, Result};

use crate::pointer::require;

/// A type, and the names of its columns.
#[repr(C)]
pub struct ArrowSchema {
    pub(super) format: *const c_char,
    pub(super) name: *const c_char,
    pub(super) metadata: *const c_char,
    pub(super) flags: i64,
    pub(super) n_children: i64,
    pub(super) children: *mut *mut ArrowSchema,
    pub(super) dictionary: *mut ArrowSchema,
    pub(super) release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    pub(super) private_data: *mut c_void,
}

/// Rows of some type.
#[repr(C)]
pub struct ArrowArray {
    pub(super) length: i64,
    pub(super) null_count: i64,
    pub(super) offset: i64,
    pub(super) n_buffers: i64,
    pub(super) n_children: i64,
    pub(super) buffers: *const *const c_void,
    pub(super) children: *mut *mut ArrowArray,
    pub(super) dictionary: *mut ArrowArray,
    pub(super) release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    pub(super) private_data: *mut c_void,
}

/// Arrays of one type, one after the other. One thread at a time.
#[repr(C)]
pub struct ArrowArrayStream {
    pub(super) get_schema: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    pub(super) get_next: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    pub(super) get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    pub(super) release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    pub(super) private_data: *mut c_void,
}

/// One of the three.
pub(super) trait Structure: Sized {
    /// How errors call it.
    const NAME: &'static str;
    /// One of which nothing is left to release.
    const RELEASED: Self;

    fn release(&self) -> Option<unsafe extern "C" fn(*mut Self)>;
}

impl Structure for ArrowSchema {
    const NAME: &'static str = "schema";
    const RELEASED: Self = Self {
        format: std::ptr::null(),
        name: std::ptr::null(),
        metadata: std::ptr::null(),
        flags: 0,
        n_children: 0,
        children: std::ptr::null_mut(),
        dictionary: std::ptr::null_mut(),
        release: None,
        private_data: std::ptr::null_mut(),
    };

    fn release(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.release
    }
}

impl Structure for ArrowArray {
    const NAME: &'static str = "array";
    const RELEASED: Self = Self {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: std::ptr::null(),
        children: std::ptr::null_mut(),
        dictionary: std::ptr::null_mut(),
        release: None,
        private_data: std::ptr::null_mut(),
    };

    fn release(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.release
    }
}

impl Structure for ArrowArrayStream {
    const NAME: &'static str = "stream";
    const RELEASED: Self = Self {
        get_schema: None,
        get_next: None,
        get_last_error: None,
        release: None,
        private_data: std::ptr::null_mut(),
    };

    fn release(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.release
    }
}

/// A structure that is ours to release.
pub(super) struct Owned<T: Structure>(pub(super) T);

impl<T: Structure> Owned<T> {
    /// Moves it out of where its owner has it.
    pub(super) fn take(from: *mut T) -> Result<Self> {
        require(from, T::NAME)?;
        // SAFETY: not null and aligned; the caller vouches for a structure there that nobody else uses just now.
        let taken = Self(unsafe { from.replace(T::RELEASED) });
        match taken.0.release() {
            Some(_) => Ok(taken),
            None => Err(Error::invalid(format!("{} was released: somebody else has read it", T::NAME))),
        }
    }
}

impl<T: Structure> Drop for Owned<T> {
    fn drop(&mut self) {
        if let Some(release) = self.0.release() {
            // SAFETY: it is ours, and was not released; what it holds knows how to release it.
            unsafe { release(&raw mut self.0) };
        }
    }
}

/// Releases what is left in a structure of the library's, and frees it.
///
/// # Safety
///
/// `structure` is one that [`Box::into_raw`] gave, and nobody uses it any more.
pub(super) unsafe fn free<T: Structure>(structure: *mut T) {
    // SAFETY: by the contract above.
    let structure = unsafe { Box::from_raw(structure) };
    drop(Owned(*structure));
}
