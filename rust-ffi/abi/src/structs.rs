//! Structures that begin with their size, so that they can grow: the caller may know fewer or more fields than we do.

use std::time::Duration;

use fluvio_cffi_engine::{Error, Isolation, Result};

use crate::pointer::require;

/// The size that the caller gave its structure. To be called before anything is done whose outcome goes into it.
pub(crate) fn check<T>(pointer: *const T, name: &str) -> Result<usize> {
    require(pointer, name)?;
    // SAFETY: not null and aligned; every such structure begins with its `uint32_t` size, whatever its version.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    if size < size_of::<u32>() || size > 1 << 16 {
        return Err(Error::invalid(format!("{name}->struct_size is {size}: it must be sizeof(*{name})")));
    }
    Ok(size)
}

/// Reads the fields that the caller knows over the defaults. Fields that we do not know must be zero.
pub(crate) fn read<T: Copy>(pointer: *const T, name: &str, mut defaults: T) -> Result<T> {
    let size = check(pointer, name)?;
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's structure has `size` readable bytes, by its own word; the types of the fields take any bits.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut defaults).cast::<u8>(), known) };
    // SAFETY: as above, for the rest of it.
    let tail = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if tail.iter().any(|byte| *byte != 0) {
        return Err(Error::invalid(format!(
            "{name} sets a field that this version of the library does not know: it must be 0, or the library newer"
        )));
    }
    Ok(defaults)
}

/// A field that may mean something in a later version must be zero, or an old library would pass over what it is asked
/// for.
pub(crate) fn unused(reserved: u32, name: &str) -> Result<()> {
    match reserved {
        0 => Ok(()),
        other => Err(Error::invalid(format!("{name}->reserved is {other}: it must be 0"))),
    }
}

/// Writes the fields that the caller knows. `struct_size` stays as the caller set it.
pub(crate) fn write<T: Copy>(pointer: *mut T, name: &str, value: T) -> Result<()> {
    let size = check(pointer, name)?;
    let from = size_of::<u32>();
    let known = size.min(size_of::<T>()) - from;
    // SAFETY: the caller's structure has `size` writable bytes, by its own word.
    unsafe {
        let source = (&raw const value).cast::<u8>().add(from);
        std::ptr::copy_nonoverlapping(source, pointer.cast::<u8>().add(from), known);
    }
    Ok(())
}

/// A time-out that must be positive.
pub(crate) fn millis(value: i64, name: &str) -> Result<Duration> {
    const MOST: i64 = 7 * 24 * 3600 * 1000;
    match u64::try_from(value) {
        Ok(positive) if positive > 0 && value <= MOST => Ok(Duration::from_millis(positive)),
        _ => Err(Error::invalid(format!("{name} is {value}: it must be from 1 to {MOST}"))),
    }
}

pub(crate) fn isolation(value: u32) -> Result<Isolation> {
    match value {
        0 => Ok(Isolation::ReadUncommitted),
        1 => Ok(Isolation::ReadCommitted),
        other => Err(Error::invalid(format!("isolation is {other}: it must be one of FLV_ISOLATION_, 0 or 1"))),
    }
}
