//! Arrow data that leaves the library and comes in: what its unsafe code does with memory, for miri to watch.

// Of the files that are included not all is used here, and they find the engine's types by the engine's name.
#![allow(dead_code)]
extern crate self as fluvio_cffi_engine;

#[path = "../../abi/src/arrow/column.rs"]
mod column;
#[path = "../../abi/src/encode/arrow.rs"]
mod encode;
#[path = "../../abi/src/arrow/export.rs"]
mod export;
#[path = "../../abi/src/arrow/interface.rs"]
mod interface;
#[path = "../../abi/src/pointer.rs"]
mod pointer;
#[path = "../../abi/src/arrow/reader.rs"]
mod reader;

use std::sync::Arc;
use std::thread;

use export::Part;
use interface::{ArrowArray, Owned, Structure};
use reader::{Names, Reader, Source};

type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub struct Error(String);

impl Error {
    fn invalid(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// As the engine has it.
pub struct RecordRef<'a> {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
}

/// As the engine has it.
pub struct ChunkSize {
    pub records: usize,
    pub bytes: usize,
}

/// As the engine has it.
pub trait ChunkEncoder {
    fn encode(&self, partition: u32, records: &[RecordRef<'_>]) -> Vec<u8>;
    fn chunk_size(&self) -> ChunkSize;
}

const VALUES: [&[u8]; 5] = [b"", b"one", b"two and more", b"", b"four"];

fn parts() -> Vec<Part> {
    let records = VALUES.iter().zip(0..).map(|(value, offset)| RecordRef {
        offset,
        timestamp: offset - 1,
        key: (offset % 2 == 1).then_some(&b"key"[..]),
        value,
    });
    let columns = Arc::new(encode::Columns::new(encode::columns(&records.collect::<Vec<_>>(), |_| 3)));
    // Of the second not all rows, and none of the third.
    [(0, 5), (1, 3), (2, 0)].map(|(start, rows)| Part { columns: Arc::clone(&columns), start, rows }).into()
}

fn reader(names: &Names<'_>) -> Reader {
    let mut stream = Owned(export::stream("topic", parts()));
    let schema = reader::schema_of(&mut stream).unwrap();
    Reader::new(Source::Stream(stream), &schema, names).unwrap()
}

/// The values that a reader reads, as a producer gets them: their bytes in one piece.
fn values(mut reader: Reader) -> Vec<Vec<u8>> {
    let mut read = Vec::new();
    while reader.next().unwrap() {
        let records = &reader.records;
        let data = records.borrowed.unwrap_or(records.data.as_ptr());
        let mut data = pointer::slice(data, records.bytes, "data").unwrap();
        for (row, length) in records.value_lengths.iter().enumerate() {
            let key = records.key_lengths.get(row).map_or(0, |length| usize::try_from(*length).unwrap_or(0));
            let (value, rest) = data[key..].split_at(*length as usize);
            read.push(value.to_vec());
            data = rest;
        }
    }
    read
}

#[test]
fn what_leaves_comes_in_again() {
    let expected: Vec<_> = VALUES.into_iter().chain(VALUES[1..4].iter().copied()).collect();
    let alone = Names { value: "value", key: None, partition: None, timestamp: None };
    assert_eq!(values(reader(&alone)), expected);
    let all = Names { value: "value", key: Some("key"), partition: Some("partition"), timestamp: Some("timestamp") };
    assert_eq!(values(reader(&all)), expected);
}

#[test]
fn a_reader_may_end_early_and_elsewhere() {
    let mut reader = reader(&Names { value: "value", key: Some("key"), partition: None, timestamp: None });
    assert!(reader.next().unwrap());
    thread::spawn(move || drop(reader)).join().unwrap();
}

/// An array that another thread gets.
struct Moved(Owned<ArrowArray>);

// SAFETY: the interface has an array released on any thread.
unsafe impl Send for Moved {}

/// Moves a child out of its parent, as the interface has it.
fn leave(array: &Owned<ArrowArray>, index: usize) -> Owned<ArrowArray> {
    assert!(index < array.0.n_children as usize);
    // SAFETY: the child is the array's, which is ours.
    Owned(unsafe { (*array.0.children.add(index)).replace(ArrowArray::RELEASED) })
}

/// The columns outlive the array, its records, and each other, on any threads.
#[test]
fn children_may_leave_their_parents() {
    let mut parts = parts();
    let array = Owned(export::array(&parts.remove(1)));
    let children: Vec<_> = [4, 0, 2].map(|index| leave(&array, index)).into();
    drop((array, parts));
    let values = &children[0].0;
    // SAFETY: the third buffer of the column is that of its bytes.
    let bytes = unsafe { std::slice::from_raw_parts((*values.buffers.add(2)).cast::<u8>(), 15) };
    assert_eq!((bytes, values.offset, values.length), (&b"onetwo and more"[..], 1, 3));
    for child in children.into_iter().map(Moved) {
        thread::spawn(move || drop(child)).join().unwrap();
    }
}
