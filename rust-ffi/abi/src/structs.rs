//! Structures that begin with their size, so that they can grow: the caller may know fewer or more fields than we do.

use std::time::Duration;

use fluvio_cffi_engine::{Error, Isolation, Result};

use crate::pointer::require;

/// No structure will ever be larger.
const LARGEST: usize = 1 << 16;

/// A structure that begins with its size. It has no padding, so that a field begins where another one ends.
pub(crate) trait Growing: Copy {
    /// Where its fields begin.
    const FIELDS: &'static [usize];
}

/// Names all fields of a structure that begins with its size.
macro_rules! growing {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::structs::Growing for $name {
            const FIELDS: &'static [usize] = {
                // None is left out.
                let _ = |value: &$name| {
                    let $name { $($field: _),* } = value;
                };
                &[$(std::mem::offset_of!($name, $field)),*]
            };
        }
    };
}
pub(crate) use growing;

/// The size that the caller gave its structure, which ends where a field does. To be called before anything is done
/// whose outcome goes into it.
pub(crate) fn check<T: Growing>(pointer: *const T, name: &str) -> Result<usize> {
    require(pointer, name)?;
    // SAFETY: not null and aligned; every such structure begins with its `uint32_t` size, whatever its version.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    // Half of a field would be read, or written.
    let ends = size >= size_of::<T>() || size > 0 && T::FIELDS.contains(&size);
    if !ends || size > LARGEST {
        return Err(Error::invalid(format!("{name}->struct_size is {size}: it must be sizeof(*{name})")));
    }
    Ok(size)
}

/// Fills in the defaults of the fields that the caller knows, which are those within `size` bytes, and zeros in those
/// that only he knows. Does nothing if there is no such structure. Touches nothing of the library's, and so works in a
/// forked child too.
pub(crate) fn init<T: Growing>(out: *mut T, size: usize, defaults: T) {
    let ends = size >= size_of::<T>() || size > 0 && T::FIELDS.contains(&size);
    let Ok(told) = u32::try_from(size) else { return };
    if !ends || size > LARGEST || require(out, "out").is_err() {
        return;
    }
    // SAFETY: not null and aligned; the caller's structure has `size` writable bytes, by its own word.
    unsafe {
        out.cast::<u8>().write_bytes(0, size);
        let known = size.min(size_of::<T>());
        std::ptr::copy_nonoverlapping((&raw const defaults).cast::<u8>(), out.cast::<u8>(), known);
        out.cast::<u32>().write(told);
    }
}

/// Reads the fields that the caller knows over the defaults. Fields that we do not know must be zero.
pub(crate) fn read<T: Growing>(pointer: *const T, name: &str, mut defaults: T) -> Result<T> {
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
pub(crate) fn write<T: Growing>(pointer: *mut T, name: &str, value: T) -> Result<()> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::{Growing, check, init};
    use crate::{
        flv_chunk_t, flv_client_options_t, flv_consumer_options_t, flv_counts_t, flv_error_info_t, flv_event_t,
        flv_group_change_t, flv_group_member_t, flv_group_slots_t, flv_metrics_t, flv_producer_options_t,
        flv_records_t, flv_smartmodule_t, flv_submission_t,
    };

    const LARGE: usize = 4096;

    #[repr(C, align(8))]
    struct Raw([u8; LARGE]);

    /// Which sizes are taken.
    fn sizes<T: Growing>() -> Vec<usize> {
        let taken = |size: &usize| {
            let mut raw = Raw([0; LARGE]);
            raw.0[..4].copy_from_slice(&(*size as u32).to_ne_bytes());
            check((&raw const raw).cast::<T>(), "it").is_ok()
        };
        (0..size_of::<T>() + 16).filter(taken).collect()
    }

    macro_rules! sizes_of {
        ($($name:ident),*) => { BTreeMap::from([$((stringify!($name), (sizes::<$name>(), size_of::<$name>()))),*]) };
    }

    /// Half of a pointer is never followed, nor half of a field written: in none of the structures that can grow.
    #[test]
    fn a_size_ends_where_a_field_does() {
        let seen = sizes_of!(
            flv_chunk_t,
            flv_client_options_t,
            flv_consumer_options_t,
            flv_counts_t,
            flv_error_info_t,
            flv_event_t,
            flv_group_change_t,
            flv_group_member_t,
            flv_group_slots_t,
            flv_metrics_t,
            flv_producer_options_t,
            flv_records_t,
            flv_smartmodule_t,
            flv_submission_t
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/c_abi/layout.json");
        let table: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let growing = table.as_object().unwrap().iter().filter(|(_, it)| !it["fields"]["struct_size"].is_null());
        let mut wanted = BTreeMap::new();
        for (name, structure) in growing {
            let size = structure["size"].as_u64().unwrap() as usize;
            let fields = structure["fields"].as_object().unwrap().values().map(|at| at.as_u64().unwrap() as usize);
            let mut ends: Vec<usize> = fields.filter(|at| *at > 0).collect();
            ends.sort_unstable();
            ends.extend(size..size + 16);
            wanted.insert(name.as_str(), (ends, size));
        }
        assert_eq!(seen, wanted);
    }

    /// A program of another version has another size: nothing beyond it is written.
    #[test]
    fn defaults_go_as_far_as_the_structure() {
        for size in 0..size_of::<flv_client_options_t>() + 64 {
            let mut raw = Raw([0xaa; LARGE]);
            crate::flv_client_options_init((&raw mut raw).cast(), size);
            let written = raw.0.iter().rposition(|byte| *byte != 0xaa).map_or(0, |last| last + 1);
            let ends =
                size >= size_of::<flv_client_options_t>() || size > 0 && flv_client_options_t::FIELDS.contains(&size);
            assert_eq!(written, if ends { size } else { 0 });
            if ends {
                assert_eq!(raw.0[..4], (size as u32).to_ne_bytes());
                assert!(raw.0[size_of::<flv_client_options_t>().min(size)..size].iter().all(|byte| *byte == 0));
            }
        }
        let mut raw = Raw([0xaa; LARGE]);
        init(std::ptr::null_mut(), 8, plain());
        init((&raw mut raw).cast(), (1 << 16) + 1, plain());
        assert!(raw.0.iter().all(|byte| *byte == 0xaa));
    }

    fn plain() -> flv_submission_t {
        flv_submission_t { struct_size: 0, reserved: 0, accepted: 0, runs: 0, room: 0, timestamp: 0 }
    }
}
