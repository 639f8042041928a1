//! Records as Arrow arrays: what leaves (`export.rs`, `capsule.rs`) and what comes in (`reader.rs`, `column.rs`).
//!
//! The structures of the Arrow C data interface are written here by hand (`interface.rs`): five types, of which the
//! crates that have them all would be a good part of the library.

mod capsule;
mod column;
mod export;
mod interface;
mod reader;

use std::sync::{Arc, Mutex, PoisonError};

use fluvio_cffi_engine::{Error, RecordRef, Result};

use crate::boundary::{OK, export, quiet};
use crate::bytes::flv_slice_t;
use crate::encode::{Columns, columns};
use crate::handle::{self, Handle, Kind};
use crate::pointer::{require, slice, write_out};
use crate::records::flv_records_t;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};
use crate::structs;

pub use capsule::*;
pub use interface::{ArrowArray, ArrowArrayStream, ArrowSchema};

use export::Part;
use interface::Owned;
use reader::{Names, Reader, Source};

/// Records in the Arrow format: columns `partition` (int32), `offset` (int64), `timestamp` (timestamp[ms, UTC], or
/// null), `key` (binary, or null) and `value` (binary). They never change, and may be used from any threads.
pub struct flv_arrow_t {
    _opaque: [u8; 0],
}

impl Handle for flv_arrow_t {
    type Object = Columns;
    const KIND: Kind = Kind::Arrow;
}

/// Reads what is to be sent out of Arrow data. One thread at a time.
pub struct flv_arrow_reader_t {
    _opaque: [u8; 0],
}

impl Handle for flv_arrow_reader_t {
    type Object = Mutex<Reader>;
    const KIND: Kind = Kind::ArrowReader;
}

/// Some of the records of an `flv_arrow_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_arrow_part_t {
    /// Whose.
    pub arrow: *const flv_arrow_t,
    /// The first of them.
    pub start: usize,
    /// How many.
    pub count: usize,
}

fn parts(parts: *const flv_arrow_part_t, count: usize) -> Result<Vec<Part>> {
    let given = slice(parts, count, "parts")?;
    given
        .iter()
        .map(|part| {
            let columns = handle::get(part.arrow)?;
            let (start, rows, most) = (part.start, part.count, columns.rows());
            match start.checked_add(rows) {
                Some(end) if end <= most => Ok(Part { columns, start, rows }),
                _ => Err(Error::invalid(format!("a part has {rows} records from {start} on: there are {most}"))),
            }
        })
        .collect()
}

/// Records as they were read, in the Arrow format: `offsets` has the offset of each, and `records->partitions` the
/// partition. In place of a timestamp INT64_MIN says that there is none. The records are copied. `*arrow` is yours,
/// until `flv_arrow_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_from_columns(
    records: *const flv_records_t,
    offsets: *const i64,
    arrow: *mut *mut flv_arrow_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let given = flv_records_t::read(records)?;
        let offsets = slice(offsets, given.count, "offsets")?;
        let given = given.columns()?;
        let partitions = given.partitions.unwrap_or_default();
        if partitions.len() != given.count || partitions.iter().any(|partition| *partition < 0) {
            return Err(Error::invalid("records->partitions must have a partition for each record"));
        }
        require(arrow, "arrow")?;
        let mut data = given.data;
        let mut taken = |length: usize| {
            let (bytes, rest) = data.split_at_checked(length)?;
            data = rest;
            Some(bytes)
        };
        let mut refs = Vec::with_capacity(given.count);
        for (index, offset) in offsets.iter().enumerate() {
            let short = || Error::invalid("records->data_len is too small: it must have all bytes of keys and values");
            let key_length = given.key_lengths.and_then(|lengths| usize::try_from(lengths[index]).ok());
            let key = key_length.map(|length| taken(length).ok_or_else(short)).transpose()?;
            let value = taken(given.value_lengths[index] as usize).ok_or_else(short)?;
            let timestamp = given.timestamps.map_or(-1, |times| times[index].max(-1));
            refs.push(RecordRef { offset: *offset, timestamp, key, value });
        }
        fits(given.data.len())?;
        let made = Columns::new(columns(&refs, |index| partitions[index] as u32));
        write_out(arrow, "arrow", handle::insert(Arc::new(made)))?;
        Ok(OK)
    })
}

/// Keys, and values, have ends of 32 bits.
fn fits(bytes: usize) -> Result<()> {
    match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid(format!(
            "the records have {bytes} bytes, of which one Arrow array cannot have 2 GiB or more: use a stream of several"
        ))),
    }
}

/// The offsets, one a record, valid until the free; NULL if `arrow` is none. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_offsets(arrow: *const flv_arrow_t) -> *const i64 {
    quiet(std::ptr::null(), || Ok(handle::get(arrow)?.offsets().as_ptr().cast()))
}

/// Bytes of keys and values of some of the records; 0 if `arrow` has no such. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_bytes(arrow: *const flv_arrow_t, start: usize, count: usize) -> u64 {
    quiet(0, || {
        let part = &parts(&flv_arrow_part_t { arrow, start, count }, 1)?[0];
        Ok(part.columns.bytes(start..start + count) as u64)
    })
}

/// Frees records; what was made of them stays. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_free(arrow: *mut flv_arrow_t) {
    quiet((), || {
        drop(handle::remove(arrow));
        Ok(())
    });
}

/// Makes the schema of records of `topic`, whose name is in its metadata. `*schema` is the caller's, to release. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_schema(
    topic: flv_slice_t,
    schema: *mut ArrowSchema,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        write_out(schema, "schema", export::schema(topic.text("topic")?))?;
        Ok(OK)
    })
}

/// Makes one array of the records of all parts; those of one part are not copied. `*array` is the caller's, to release;
/// it may live longer than anything of the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_array(
    parts: *const flv_arrow_part_t,
    count: usize,
    array: *mut ArrowArray,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(array, "array")?;
        let given = self::parts(parts, count)?;
        let made = match &given[..] {
            [one] => export::array(one),
            several => export::array(&joined(several)?),
        };
        write_out(array, "array", made)?;
        Ok(OK)
    })
}

/// The records of several parts as one, copied.
fn joined(several: &[Part]) -> Result<Part> {
    fits(several.iter().map(|part| part.columns.bytes(part.start..part.start + part.rows)).sum())?;
    let rows =
        || several.iter().flat_map(|part| (part.start..part.start + part.rows).map(move |row| (&part.columns, row)));
    let refs: Vec<RecordRef<'_>> = rows().map(|(columns, row)| columns.record(row)).collect();
    let partitions: Vec<u32> = rows().map(|(columns, row)| columns.partition(row)).collect();
    let made = Columns::new(columns(&refs, |index| partitions[index]));
    Ok(Part { rows: made.rows(), columns: Arc::new(made), start: 0 })
}

/// Makes a stream of records of `topic`, of an array for each part. Nothing is copied. `*stream` is the caller's, to
/// release; it and its arrays may live longer than anything of the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_stream(
    topic: flv_slice_t,
    parts: *const flv_arrow_part_t,
    count: usize,
    stream: *mut ArrowArrayStream,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(stream, "stream")?;
        let made = export::stream(topic.text("topic")?, self::parts(parts, count)?);
        write_out(stream, "stream", made)?;
        Ok(OK)
    })
}

// ---- reading

/// Opens a reader of a table. Its columns: `value` and `key` are binary or utf8, also large, views, of a fixed size or
/// in a dictionary; `partition` is an integer, `timestamp` a time with a zone, or an integer in milliseconds since the
/// epoch. All but `value` may be empty, for none, and have nulls. Of `stream` the reader takes everything, and leaves
/// it released, also where it fails; or, with `stream` NULL, of `schema` and `array`. It reads as it is asked to, on
/// the caller's thread. `*reader` is yours, until `flv_arrow_reader_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_reader_open(
    stream: *mut ArrowArrayStream,
    schema: *mut ArrowSchema,
    array: *mut ArrowArray,
    value: flv_slice_t,
    key: flv_slice_t,
    partition: flv_slice_t,
    timestamp: flv_slice_t,
    reader: *mut *mut flv_arrow_reader_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(reader, "reader")?;
        let (source, schema) = match stream.is_null() {
            true => {
                let (schema, array) = (Owned::take(schema)?, Owned::take(array)?);
                (Source::Array(Some(array)), schema)
            }
            false => {
                let mut stream = Owned::take(stream)?;
                let schema = reader::schema_of(&mut stream)?;
                (Source::Stream(stream), schema)
            }
        };
        let optional = |slice: &flv_slice_t, name| slice.optional_text(name);
        let (key, partition) = (optional(&key, "key")?, optional(&partition, "partition")?);
        let timestamp = optional(&timestamp, "timestamp")?;
        let names = Names {
            value: value.text("value")?,
            key: key.as_deref(),
            partition: partition.as_deref(),
            timestamp: timestamp.as_deref(),
        };
        let opened = Reader::new(source, &schema, &names)?;
        write_out(reader, "reader", handle::insert(Arc::new(Mutex::new(opened))))?;
        Ok(OK)
    })
}

/// Reads the next records, for `flv_producer_submit`: at most 4,096, and 256 KiB of keys and values unless one alone
/// has more. `*records`, whose `struct_size` the caller sets, is filled in; what it points to is lent until the next
/// read, or the free. END: there are no more. If it fails, all before was read: a batch in which a row has no value is
/// not read at all. It may call whoever made the data, and takes as long as that. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_reader_read(
    reader: *mut flv_arrow_reader_t,
    records: *mut flv_records_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let reader = handle::get(reader)?;
        structs::check(records, "records")?;
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        if !reader.next()? {
            return Ok(flv_status_e::FLV_STATUS_END as flv_status_t);
        }
        fn column<T>(column: &[T]) -> *const T {
            if column.is_empty() { std::ptr::null() } else { column.as_ptr() }
        }
        let read = &reader.records;
        let filled = flv_records_t {
            count: read.value_lengths.len(),
            data: read.borrowed.unwrap_or(read.data.as_ptr()),
            data_len: read.bytes,
            value_lengths: read.value_lengths.as_ptr(),
            key_lengths: column(&read.key_lengths),
            partitions: column(&read.partitions),
            timestamps: column(&read.timestamps),
            ..flv_records_t::NONE
        };
        structs::write(records, "records", filled)?;
        Ok(OK)
    })
}

/// Frees a reader, and releases what it reads. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_reader_free(reader: *mut flv_arrow_reader_t) {
    quiet((), || {
        drop(handle::remove(reader));
        Ok(())
    });
}
