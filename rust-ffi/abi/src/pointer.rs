//! The caller's own pointers, checked before they are followed.

use fluvio_cffi_engine::{Error, Result};

/// An argument that must point somewhere.
pub(crate) fn require<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        Err(Error::invalid(format!("{name} is NULL: it must be given")))
    } else if !pointer.is_aligned() {
        Err(Error::invalid(format!("{name} is {pointer:p}: it must be a multiple of {}", align_of::<T>())))
    } else {
        Ok(())
    }
}

/// Writes `value` to where the caller wants it.
pub(crate) fn write_out<T>(out: *mut T, name: &str, value: T) -> Result<()> {
    require(out, name)?;
    // SAFETY: not null and aligned; the contract of an out-argument is to point to writable memory for its type.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes `value` unless `out` is NULL: for exports that touch nothing of the library's, and so work in a forked child
/// too.
pub(crate) fn fill<T>(out: *mut T, value: T) {
    let _ = write_out(out, "out", value);
}

/// `length` items of the caller's. With `length` 0 the pointer is ignored.
pub(crate) fn slice<'a, T>(data: *const T, length: usize, name: &str) -> Result<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() || !data.is_aligned() || length > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Error::invalid(format!("{name} has {length} items at {data:p}: it must point to them")));
    }
    // SAFETY: not null, aligned, within the address space; the caller vouches for the items until the call returns, and
    // no use of ours outlives it.
    Ok(unsafe { std::slice::from_raw_parts(data, length) })
}
