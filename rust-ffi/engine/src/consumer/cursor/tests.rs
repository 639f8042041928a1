//! Where reading begins, and how replies follow each other, for logs and replies of any shape.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::BytesMut;
use fluvio_cffi_wire::{BatchBuilder, Codec};
use proptest::prelude::*;

use super::super::assignment::Assignment;
use super::super::{ChunkEncoder, RecordRef};
use super::*;

fn cursor(start: Start, fetch_bytes: u32) -> Cursor {
    let assigned = Assignment::new("t", 1, false).assign(&[0]).unwrap().remove(0);
    Cursor::new(assigned, start, fetch_bytes)
}

/// The offset where reading of a log from 10 to 20 begins, or the kind of the error.
fn begins(start: Start, options: &ConsumerOptions) -> std::result::Result<i64, ErrorKind> {
    let mut cursor = cursor(start, 1);
    let log = Log { topic: "t", start: 10, end: 20 };
    cursor.resolve(&log, options).map_err(|error| error.kind)?;
    Ok(cursor.next())
}

#[test]
fn a_start_lies_inside_the_log() {
    let options = ConsumerOptions::default();
    for (start, expected) in [
        (Start::Beginning(0), Ok(10)),
        (Start::Beginning(3), Ok(13)),
        (Start::Beginning(u64::MAX), Ok(20)),
        (Start::End(0), Ok(20)),
        (Start::End(3), Ok(17)),
        (Start::End(u64::MAX), Ok(10)),
        (Start::At(15), Ok(15)),
        (Start::At(9), Err(ErrorKind::OffsetEvicted)),
        (Start::Stored(9), Err(ErrorKind::OffsetEvicted)),
        (Start::At(21), Ok(21)),
    ] {
        assert_eq!(begins(start, &options), expected, "{start:?}");
    }
    let skips = ConsumerOptions { skip_evicted: true, ..ConsumerOptions::default() };
    assert_eq!(begins(Start::At(9), &skips), Ok(10));
    let ends = ConsumerOptions { stop_at_end: true, ..ConsumerOptions::default() };
    assert_eq!(begins(Start::At(21), &ends), Err(ErrorKind::OffsetOutOfRange));
    assert_eq!(begins(Start::At(20), &ends), Ok(20));
}

#[test]
fn the_end_to_stop_at_is_the_one_that_was_seen_first() {
    let options = ConsumerOptions { stop_at_end: true, ..ConsumerOptions::default() };
    let mut cursor = cursor(Start::At(12), 1);
    assert!(cursor.resolve(&Log { topic: "t", start: 10, end: 20 }, &options).unwrap());
    assert!(!cursor.resolve(&Log { topic: "t", start: 10, end: 30 }, &options).unwrap(), "it was known");
    cursor.restart(Start::At(20));
    assert!(cursor.resolve(&Log { topic: "t", start: 10, end: 40 }, &options).unwrap());
    assert!(cursor.finished());
}

/// The batch of these records, which begin at `base` in the log.
fn batch(base: i64, sizes: &[usize], codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::with_capacity(0);
    for (index, size) in sizes.iter().enumerate() {
        let offset = base + index as i64;
        builder.push(1, Some(&offset.to_le_bytes()), &vec![b'x'; *size]);
    }
    let mut bytes = BytesMut::from(&builder.finish(codec).unwrap()[..]);
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes.freeze()
}

/// Writes the records' offsets, which are their keys too.
struct Offsets;

impl ChunkEncoder for Offsets {
    fn encode(&self, _partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        records
            .iter()
            .flat_map(|record| {
                assert_eq!(record.key, Some(&record.offset.to_le_bytes()[..]));
                record.offset.to_le_bytes()
            })
            .collect()
    }
}

/// What a server sends of these batches: bytes from the batch on that holds the offset, cut anywhere.
fn reply(batches: &[(i64, Bytes)], from: i64, bytes: u32) -> Bytes {
    let begins = batches.iter().rposition(|(base, _)| *base <= from).unwrap();
    let mut all: BytesMut = batches[begins..].iter().flat_map(|(_, batch)| batch.to_vec()).collect();
    all.truncate(bytes as usize);
    all.freeze()
}

fn read(batches: &[(i64, Bytes)], end: i64, start: i64, fetch_bytes: u32) -> Vec<i64> {
    let mut cursor = cursor(Start::At(start), fetch_bytes);
    let mut offsets = Vec::new();
    cursor.resolve(&Log { topic: "t", start: 0, end }, &ConsumerOptions::default()).unwrap();
    while cursor.next() < end {
        let asked = cursor.fetch_bytes;
        let (mut reply, after) = cursor.split("t", &reply(batches, cursor.next(), asked)).unwrap();
        match after {
            AfterReply::Reopen => {
                assert!(cursor.fetch_bytes > asked, "a reply without one whole batch asks for more");
                continue;
            }
            AfterReply::Acknowledge(offset) => assert!(offset > cursor.next()),
            AfterReply::Stop => panic!("the log is whole"),
        }
        while !reply.is_decoded() {
            let mut chunks = Vec::new();
            cursor.decode("t", &mut reply, &Offsets, &mut chunks).unwrap();
            for chunk in chunks {
                let numbers = chunk.payload.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
                offsets.extend(numbers);
            }
        }
        assert_eq!(after, AfterReply::Acknowledge(cursor.next()), "it stands where it said that it would");
    }
    offsets
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_of_any_size_give_every_record_once(
        sizes in proptest::collection::vec(
            (proptest::collection::vec(0_usize..200, 1..5), prop_oneof![Just(Codec::None), Just(Codec::Lz4)]), 1..8,
        ),
        start in any::<prop::sample::Index>(), fetch_bytes in 1_u32..2000,
    ) {
        let mut end = 0;
        let batches: Vec<(i64, Bytes)> = sizes.iter().map(|(sizes, codec)| {
            let base = end;
            end += sizes.len() as i64;
            (base, batch(base, sizes, *codec))
        }).collect();
        let start = start.index(end as usize) as i64;
        prop_assert!(read(&batches, end, start, fetch_bytes).into_iter().eq(start..end));
    }
}

#[test]
fn a_gap_is_asked_for_again_once_and_then_an_error() {
    let mut cursor = cursor(Start::At(5), 1000);
    cursor.resolve(&Log { topic: "t", start: 0, end: 20 }, &ConsumerOptions::default()).unwrap();
    let beyond = batch(7, &[1, 1], Codec::None);
    assert_eq!(cursor.split("t", &beyond).unwrap().1, AfterReply::Reopen);
    let error = cursor.split("t", &beyond).err().unwrap();
    assert_eq!((error.kind, error.offset), (ErrorKind::Consumer, Some(5)));
}

#[test]
fn a_batch_that_is_no_batch_ends_reading_behind_what_is_whole() {
    let mut cursor = cursor(Start::At(0), 1000);
    cursor.resolve(&Log { topic: "t", start: 0, end: 20 }, &ConsumerOptions::default()).unwrap();
    let mut second = batch(2, &[1], Codec::None).to_vec();
    second[16] = 7; // Its version.
    let (mut reply, after) =
        cursor.split("t", &[batch(0, &[1, 1], Codec::None).to_vec(), second].concat().into()).unwrap();
    assert_eq!(after, AfterReply::Stop);
    let mut chunks = Vec::new();
    let error = cursor.decode("t", &mut reply, &Offsets, &mut chunks).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::CorruptRecord, Some(2)));
    assert_eq!(chunks.iter().map(|chunk| chunk.count).sum::<u32>(), 2, "what comes before it");
}

/// How reading of these bytes ends: the records that are whole, and the error's kind and offset.
fn ends(bytes: Vec<u8>, fetch_bytes: u32) -> (u32, ErrorKind, Option<i64>) {
    let mut cursor = cursor(Start::At(0), fetch_bytes);
    cursor.resolve(&Log { topic: "t", start: 0, end: 20 }, &ConsumerOptions::default()).unwrap();
    let (mut reply, after) = cursor.split("t", &bytes.into()).unwrap();
    assert_eq!(after, AfterReply::Stop);
    let mut chunks = Vec::new();
    let error = cursor.decode("t", &mut reply, &Offsets, &mut chunks).unwrap_err();
    (chunks.iter().map(|chunk| chunk.count).sum(), error.kind, error.offset)
}

/// Each of these was asked for again and again.
#[test]
fn a_batch_that_reaches_beyond_what_there_is_is_damaged() {
    let first = batch(0, &[1, 1], Codec::None).to_vec();
    let cut = |length: i32| {
        let mut second = batch(2, &[1], Codec::None).to_vec();
        second[8..12].copy_from_slice(&length.to_be_bytes());
        [first.clone(), second].concat()
    };
    let damaged = (2, ErrorKind::CorruptRecord, Some(2));
    assert_eq!(ends(cut(500), 1000), damaged, "the reply is shorter than was asked for");
    assert_eq!(ends([&first[..], &[0; 5]].concat(), 1000), damaged);
    let asked = cut(0).len() as u32;
    assert_eq!(ends(cut(i32::MAX), asked), damaged, "no batch is so long");
    assert_eq!(ends(cut(500)[first.len()..].to_vec(), 1000), (0, ErrorKind::CorruptRecord, Some(0)));
}

#[test]
fn a_reply_without_what_was_asked_for_is_not_asked_for_for_ever() {
    let mut cursor = cursor(Start::At(5), 1000);
    cursor.resolve(&Log { topic: "t", start: 0, end: 20 }, &ConsumerOptions::default()).unwrap();
    let before = batch(3, &[1, 1], Codec::None);
    assert_eq!(cursor.split("t", &before).unwrap().1, AfterReply::Reopen);
    let error = cursor.split("t", &before).err().unwrap();
    assert_eq!((error.kind, error.offset), (ErrorKind::Consumer, Some(5)));
}

#[test]
fn what_one_large_batch_needed_is_not_asked_for_for_ever() {
    let mut cursor = cursor(Start::At(0), 1000);
    for asked in [2000, 4000, 8000] {
        while !cursor.loses_patience() {}
        assert_eq!(cursor.fetch_bytes, asked);
    }
    let mut asked = |made| {
        cursor.note_made(made);
        cursor.fetch_bytes
    };
    assert_eq!([7000, 2000, 100, 100, 100, 0].map(&mut asked), [8000, 8000, 4000, 2000, 1000, 1000]);
}
