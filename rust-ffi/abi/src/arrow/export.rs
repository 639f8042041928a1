//! What the library hands out: records as Arrow arrays. All that is handed out of a chunk shares its memory, which goes
//! with the last of it.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use super::interface::{ArrowArray, ArrowArrayStream, ArrowSchema, Structure};
use crate::encode::Columns;

const NULLABLE: i64 = 2;
const INVALID: c_int = libc::EINVAL;

/// The columns: name, type, and whether there may be none.
const FIELDS: [(&CStr, &CStr, i64); 5] = [
    (c"partition", c"i", 0),
    (c"offset", c"l", 0),
    (c"timestamp", c"tsm:UTC", NULLABLE),
    (c"key", c"z", NULLABLE),
    (c"value", c"z", 0),
];

/// Some of the records of a chunk.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) columns: Arc<Columns>,
    pub(super) start: usize,
    pub(super) rows: usize,
}

/// A structure's children, which may leave it and live longer.
struct Children<T: Structure> {
    pointers: Vec<*mut T>,
}

impl<T: Structure> Children<T> {
    fn new(children: impl IntoIterator<Item = T>) -> Self {
        Self { pointers: children.into_iter().map(|child| Box::into_raw(Box::new(child))).collect() }
    }
}

impl<T: Structure> Drop for Children<T> {
    fn drop(&mut self) {
        for child in &self.pointers {
            // SAFETY: made by `new`, freed here alone. A child that has left was marked as released.
            unsafe { super::interface::free(*child) };
        }
    }
}

// ---- schema

struct SchemaParts {
    children: Children<ArrowSchema>,
    metadata: Vec<u8>,
}

unsafe extern "C" fn release_field(schema: *mut ArrowSchema) {
    // SAFETY: whoever calls it has the schema, and gives it up. All that it points to is static.
    unsafe { (*schema).release = None };
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: whoever calls it has the schema, and gives it up; `schema` below has made what it points to.
    unsafe {
        drop(Box::from_raw((*schema).private_data.cast::<SchemaParts>()));
        (*schema).release = None;
    }
}

/// The schema of records of `topic`, whose name is in its metadata.
pub(super) fn schema(topic: &str) -> ArrowSchema {
    let fields = FIELDS.map(|(name, format, flags)| ArrowSchema {
        format: format.as_ptr(),
        name: name.as_ptr(),
        flags,
        release: Some(release_field),
        ..ArrowSchema::RELEASED
    });
    let mut metadata = 1_i32.to_ne_bytes().to_vec();
    for text in ["topic", topic] {
        metadata.extend_from_slice(&(text.len() as i32).to_ne_bytes());
        metadata.extend_from_slice(text.as_bytes());
    }
    let mut parts = Box::new(SchemaParts { children: Children::new(fields), metadata });
    ArrowSchema {
        format: c"+s".as_ptr(),
        name: c"".as_ptr(),
        metadata: parts.metadata.as_ptr().cast(),
        n_children: FIELDS.len() as i64,
        children: parts.children.pointers.as_mut_ptr(),
        release: Some(release_schema),
        private_data: Box::into_raw(parts).cast(),
        ..ArrowSchema::RELEASED
    }
}

// ---- arrays

/// What a column's array points to.
struct ColumnParts {
    buffers: Vec<*const c_void>,
    _columns: Arc<Columns>,
}

/// What an array of records points to.
struct RowsParts {
    buffers: Vec<*const c_void>,
    children: Children<ArrowArray>,
}

unsafe extern "C" fn release_column(array: *mut ArrowArray) {
    // SAFETY: whoever calls it has the array, and gives it up; `column` below has made what it points to.
    unsafe {
        drop(Box::from_raw((*array).private_data.cast::<ColumnParts>()));
        (*array).release = None;
    }
}

unsafe extern "C" fn release_rows(array: *mut ArrowArray) {
    // SAFETY: whoever calls it has the array, and gives it up; `array` below has made what it points to.
    unsafe {
        drop(Box::from_raw((*array).private_data.cast::<RowsParts>()));
        (*array).release = None;
    }
}

/// The array of one column: its bits say which rows are there, if not all are.
fn column(part: &Part, valid: Option<&[u8]>, buffers: &[&[u8]]) -> ArrowArray {
    let mut pointers = vec![valid.map_or(std::ptr::null(), |bits| bits.as_ptr().cast())];
    pointers.extend(buffers.iter().map(|buffer| buffer.as_ptr().cast::<c_void>()));
    let parts = Box::new(ColumnParts { buffers: pointers, _columns: Arc::clone(&part.columns) });
    ArrowArray {
        length: part.rows as i64,
        // -1: not counted.
        null_count: if valid.is_some() { -1 } else { 0 },
        offset: part.start as i64,
        n_buffers: 1 + buffers.len() as i64,
        buffers: parts.buffers.as_ptr(),
        release: Some(release_column),
        private_data: Box::into_raw(parts).cast(),
        ..ArrowArray::RELEASED
    }
}

/// The records as an array of structures.
pub(super) fn array(part: &Part) -> ArrowArray {
    let columns = &part.columns;
    let children = [
        column(part, None, &[columns.partitions()]),
        column(part, None, &[columns.offsets()]),
        column(part, columns.times_valid(), &[columns.times()]),
        column(part, columns.keys_valid(), &[columns.key_ends(), columns.keys()]),
        column(part, None, &[columns.value_ends(), columns.values()]),
    ];
    let mut parts = Box::new(RowsParts { buffers: vec![std::ptr::null()], children: Children::new(children) });
    ArrowArray {
        length: part.rows as i64,
        n_buffers: 1,
        n_children: FIELDS.len() as i64,
        buffers: parts.buffers.as_ptr(),
        children: parts.children.pointers.as_mut_ptr(),
        release: Some(release_rows),
        private_data: Box::into_raw(parts).cast(),
        ..ArrowArray::RELEASED
    }
}

// ---- streams

struct StreamParts {
    topic: String,
    parts: VecDeque<Part>,
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: whoever calls it has the stream, and gives it up; `stream` below has made what it points to.
    unsafe {
        drop(Box::from_raw((*stream).private_data.cast::<StreamParts>()));
        (*stream).release = None;
    }
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    if stream.is_null() || out.is_null() {
        return INVALID;
    }
    // SAFETY: the specification has the caller give a stream that is not released, and a place for a schema.
    unsafe { out.write(schema(&(*(*stream).private_data.cast::<StreamParts>()).topic)) };
    0
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    if stream.is_null() || out.is_null() {
        return INVALID;
    }
    // SAFETY: the specification has the caller give a stream that is not released and that no other thread uses, and a
    // place for an array.
    unsafe {
        let parts = &mut *(*stream).private_data.cast::<StreamParts>();
        out.write(parts.parts.pop_front().map_or(ArrowArray::RELEASED, |part| array(&part)));
    }
    0
}

unsafe extern "C" fn get_last_error(_: *mut ArrowArrayStream) -> *const c_char {
    // Nothing fails.
    std::ptr::null()
}

/// The parts as a stream of arrays.
pub(super) fn stream(topic: &str, parts: Vec<Part>) -> ArrowArrayStream {
    let parts = Box::new(StreamParts { topic: topic.to_owned(), parts: parts.into() });
    ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release_stream),
        private_data: Box::into_raw(parts).cast(),
    }
}
