//! Records against the official crate, which is what the real server's host reads and writes them with.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use fluvio_protocol::record::{Record, RecordData};
use fluvio_protocol::{Decoder, Encoder};
use proptest::prelude::*;

use super::merge::{InputBatch, Limit, process};
use super::records::{Block, read_block};
use super::{Chain, Habits, Limits, Stop};

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        -100..100_i64,
        Just(i64::from(i32::MAX)),
        Just(i64::from(i32::MIN)),
        Just(1 << 31),
        Just(1 << 33),
        any::<i64>()
    ]
    // The official crate never comes to an end with others.
    .prop_filter("encodable", |number| (number << 1) ^ (number >> 31) >= 0)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..20), Just(vec![7; 300])]
}

fn record() -> impl Strategy<Value = Record> {
    (number(), number(), proptest::option::of(data()), data(), number()).prop_map(
        |(time_delta, offset_delta, key, value, headers)| {
            let mut record =
                Record { key: key.map(RecordData::from), value: value.into(), headers, ..Record::default() };
            record.preamble.set_timestamp_delta(time_delta);
            record.preamble.set_offset_delta(offset_delta);
            record
        },
    )
}

fn encoded(records: &Vec<Record>) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.encode(&mut bytes, 0).unwrap();
    bytes
}

proptest! {
    /// What is read is written again as the official crate does it, spoiled numbers included.
    #[test]
    fn records_are_read_and_written_as_by_the_official_crate(
        records in proptest::collection::vec(record(), 0..8),
        shift in -1000..1000_i64,
    ) {
        let bytes = encoded(&records);
        let mut block = Block::new();
        read_block(&bytes, |record| block.push(record, shift)).unwrap();

        let mut official: Vec<Record> = Vec::decode_from(&mut bytes.as_slice(), 0).unwrap();
        for record in &mut official {
            let moved = record.preamble.offset_delta().wrapping_add(shift);
            record.preamble.set_offset_delta(moved);
        }
        prop_assert_eq!(block.count(), official.len());
        prop_assert_eq!(block.bytes(), encoded(&official));
    }

    /// Damaged blocks are refused or read, and what is read can be written, whatever numbers there are in it.
    #[test]
    fn damaged_blocks_are_harmless(
        records in proptest::collection::vec(record(), 1..4),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&records);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        let mut block = Block::new();
        let read = read_block(&bytes, |record| block.push(record, 0));
        if let Ok(count) = read {
            prop_assert_eq!(count, block.count());
            let official: Vec<Record> = Vec::decode_from(&mut bytes.as_slice(), 0).unwrap();
            prop_assert_eq!(official.len(), count);
            prop_assert!(block.bytes().len() < bytes.len() + 100 * (1 + count));
        }
    }
}

#[test]
fn what_was_split_off_can_be_read() {
    let record = |value: &[u8]| Record::new(value.to_vec());
    let bytes = encoded(&vec![record(b"a"), record(b"b"), record(b"c")]);
    let mut block = Block::new();
    let mut marks = Vec::new();
    read_block(&bytes, |record| {
        marks.push(block.mark());
        block.push(record, 0);
    })
    .unwrap();
    let mut rest = block.split_off(marks[1]);
    assert_eq!(block.bytes(), encoded(&vec![record(b"a")]));
    assert_eq!(rest.bytes(), encoded(&vec![record(b"b"), record(b"c")]));
}

#[test]
fn what_a_producer_sends_is_not_cut() {
    let batch = |base_offset| InputBatch {
        base_offset,
        base_time: 0,
        last_offset_delta: 0,
        codec: fluvio_compression::Compression::None,
        block: encoded(&vec![Record::new(vec![0; 60])]),
    };
    let limits = Limits { memory: 0, fuel: 0 };
    let mut chain = Chain::new(std::iter::empty(), limits, &Stop::default(), 25).unwrap();
    let mut left_out = |limit| {
        let (merged, _) = process(&mut chain, (0..3).map(batch).map(Ok), limit, Habits::default())?;
        Ok::<_, super::Failure>(3 - merged.read_to.unwrap())
    };
    assert_eq!(left_out(Limit::of_reply(150)).unwrap(), 1);
    assert!(left_out(Limit { bytes: 150, is_hard: true }).is_err());
    assert_eq!(left_out(Limit::WHOLE).unwrap(), 0);
}
