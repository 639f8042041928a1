//! The official `fluvio-protocol` crate is the witness: it reads what is built here, and what it writes is read here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;
use fluvio_cffi_wire::{
    BatchBuilder, Codec, FrameBuffer, HEADER_LEN, ProduceEntry, ProduceHead, Remainder, WireError, produce_request,
    split_batches,
};
use fluvio_compression::Compression;
use fluvio_protocol::api::{Request, RequestMessage};
use fluvio_protocol::record::{Batch, MemoryRecords, RawRecords, Record, RecordSet};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{DefaultProduceRequest, PartitionProduceData, TopicProduceData};
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;
use proptest::prelude::*;

type Plain = (i64, Option<Vec<u8>>, Vec<u8>);

const GOLDEN: &str = "000000000000000500000045ffffffff024e32ea1900000000000100000000000003e800000000000003e8ffffffffffff\
                      ffffffffffffffff000000021600000001026b0676616c000e00000200027800";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const LIMIT: usize = 1 << 20;

fn build(records: &[Plain]) -> Bytes {
    build_with(records, Codec::None)
}

fn build_with(records: &[Plain], codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::with_capacity(1024);
    for (timestamp, key, value) in records {
        let cost = builder.cost(*timestamp, key.as_deref(), value);
        let most = builder.len() + cost;
        assert!(!builder.push_within(most - 1, *timestamp, key.as_deref(), value));
        if builder.count().is_multiple_of(2) {
            builder.push(*timestamp, key.as_deref(), value);
        } else {
            assert!(builder.push_within(most, *timestamp, key.as_deref(), value));
        }
        assert_eq!(builder.len(), most);
    }
    builder.finish(codec).unwrap()
}

fn read(bytes: &Bytes) -> Result<Vec<(i64, Plain)>, WireError> {
    let mut batches = Vec::new();
    split_batches(bytes, &mut batches)?;
    let mut out = Vec::new();
    for batch in &batches {
        batch.check_crc()?;
        let body = batch.body(LIMIT)?;
        for record in batch.records(&body)? {
            let record = record?;
            let timestamp = batch.header.first_timestamp.wrapping_add(record.timestamp_delta);
            let plain = (timestamp, record.key.map(<[u8]>::to_vec), record.value.to_vec());
            out.push((batch.header.base_offset + record.offset_delta, plain));
        }
    }
    Ok(out)
}

fn official(records: &[Plain]) -> Batch<MemoryRecords> {
    let mut batch = Batch::<MemoryRecords>::default();
    let first = records.first().map_or(0, |record| record.0);
    batch.header.first_timestamp = first;
    batch.header.max_time_stamp = records.iter().map(|record| record.0).max().unwrap_or(0);
    for (timestamp, key, value) in records {
        let mut record = match key {
            Some(key) => Record::new_key_value(key.clone(), value.clone()),
            None => Record::new(value.clone()),
        };
        record.preamble.set_timestamp_delta(timestamp - first);
        batch.add_record(record);
    }
    batch
}

/// The official batch with its body compressed by the official crate.
fn official_with(records: &[Plain], compression: Compression) -> Vec<u8> {
    let mut batch = official(records);
    batch.header.set_compression(compression);
    let raw = Batch::<RawRecords>::try_from(batch).unwrap();
    let mut bytes = Vec::new();
    raw.encode(&mut bytes, 0).unwrap();
    bytes
}

fn plain() -> impl Strategy<Value = Plain> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    (1_700_000_000_000_i64..1_702_000_000_000, proptest::option::of(bytes()), bytes())
}

#[test]
fn the_golden_batch_is_built_and_read() {
    let golden = hex(GOLDEN);
    let records: Vec<Plain> = vec![(1000, Some(b"k".to_vec()), b"val".to_vec()), (1000, None, b"x".to_vec())];
    let numbered: Vec<_> = (5..).zip(records.clone()).collect();
    assert_eq!(read(&Bytes::from(golden.clone())).unwrap(), numbered);
    let built = build(&records);
    assert_eq!(&built[8..], &golden[8..]);
    assert_eq!(&built[..8], &[0; 8], "the server assigns the base offset");
}

#[test]
fn a_produce_request_is_the_official_one() {
    let records: Vec<Plain> = vec![(5, None, b"a".to_vec()), (6, Some(b"k".to_vec()), b"b".to_vec())];
    let module = SmartModuleInvocation { name: Some("filter".to_owned()), ..Default::default() };
    let mut encoded = Vec::new();
    vec![module.clone()].encode(&mut encoded, 25).unwrap();
    for (committed, isolation, modules) in [
        (false, Isolation::ReadUncommitted, None),
        (true, Isolation::ReadCommitted, None),
        (false, Isolation::ReadUncommitted, Some(Bytes::from(encoded))),
    ] {
        let entries: Vec<_> = (0..3).map(|partition| ProduceEntry { partition, batch: build(&records) }).collect();
        let (client_id, timeout_ms) = ("me", 1500);
        let head = ProduceHead {
            version: 25,
            client_id,
            topic: "topic",
            committed,
            timeout_ms,
            smartmodules: modules.clone(),
        };
        let ours: Vec<u8> = produce_request(7, &head, &entries).concat();

        let mut topic = TopicProduceData { name: "topic".into(), ..Default::default() };
        for entry in &entries {
            let mut set = RecordSet::<RawRecords>::default();
            let mut framed = (entry.batch.len() as u32).to_be_bytes().to_vec();
            framed.extend_from_slice(&entry.batch);
            set.decode(&mut std::io::Cursor::new(framed), 25).unwrap();
            topic.partitions.push(PartitionProduceData { partition_index: entry.partition, records: set });
        }
        let request = DefaultProduceRequest {
            isolation,
            timeout: Duration::from_millis(1500),
            topics: vec![topic],
            smartmodules: modules.iter().map(|_| module.clone()).collect(),
            ..Default::default()
        };
        let mut message = RequestMessage::new_request(request).set_client_id("me");
        message.header.set_api_version(25);
        message.header.set_correlation_id(7);
        assert_eq!(DefaultProduceRequest::API_KEY, 0);
        let mut theirs = (message.write_size(25) as u32).to_be_bytes().to_vec();
        message.encode(&mut theirs, 25).unwrap();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_timestamp_far_from_the_first_does_not_fit() {
    let mut builder = BatchBuilder::with_capacity(100);
    assert!(builder.takes_timestamp(i64::MAX));
    builder.push(1_000, None, b"");
    assert!(builder.takes_timestamp(1_000 + i64::from(i32::MAX)));
    assert!(!builder.takes_timestamp(1_001 + i64::from(i32::MAX)));
    assert!(!builder.takes_timestamp(i64::MIN));
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let records: Vec<Plain> = vec![(0, None, vec![0; LIMIT])];
    for codec in &CODECS[1..] {
        let bytes = build_with(&records, *codec);
        assert!(bytes.len() < LIMIT / 10);
        assert_eq!(read(&bytes).unwrap_err(), WireError::Unpacked { limit: LIMIT });
    }
}

#[test]
fn a_batch_that_is_cut_short_leaves_the_next_one_alone() {
    let body = b"some text, some more text, ".repeat(1_000);
    for codec in &CODECS[1..] {
        let mut packed = Vec::new();
        for _ in 0..2 {
            packed.clear();
            codec.compress(&body, &mut packed).unwrap();
            assert_eq!(codec.decompress(&packed, LIMIT).unwrap(), body);
            let cut = codec.decompress(&packed[..packed.len() / 2], LIMIT);
            assert!(cut.is_err(), "{codec:?}");
        }
    }
}

#[test]
fn a_length_alone_allocates_nothing() {
    let mut frames = FrameBuffer::new(i32::MAX as usize);
    frames.space().extend_from_slice(&i32::MAX.to_be_bytes());
    assert!(frames.next_frame().unwrap().is_none());
    assert!(frames.space().capacity() <= 4 << 20);
    let mut frames = FrameBuffer::new(100);
    assert_eq!(frames.begun(), None);
    frames.space().extend_from_slice(&101_i32.to_be_bytes());
    frames.space().extend_from_slice(b"begun");
    assert!(frames.next_frame().is_err());
    frames.set_limit(101);
    assert!(frames.next_frame().unwrap().is_none());
    assert_eq!(frames.begun(), Some((101, &b"begun"[..])));
}

proptest! {
    #[test]
    fn the_official_crate_reads_what_is_built_here(records in proptest::collection::vec(plain(), 1..40)) {
        for codec in CODECS {
            let bytes = build_with(&records, codec);
            let mut raw = Batch::<RawRecords>::default();
            raw.decode(&mut std::io::Cursor::new(&bytes[..]), 0).unwrap();
            prop_assert_eq!(raw.header.last_offset_delta as usize, records.len() - 1);
            prop_assert_eq!(raw.header.max_time_stamp, records.iter().map(|record| record.0).max().unwrap());
            let first_timestamp = raw.header.first_timestamp;
            let mut again = Vec::new();
            raw.encode(&mut again, 0).unwrap();
            prop_assert_eq!(&again[17..21], &bytes[17..21], "checksum");
            let theirs = raw.memory_records().unwrap();
            prop_assert_eq!(theirs.len(), records.len());
            for (theirs, (timestamp, key, value)) in theirs.iter().zip(&records) {
                prop_assert_eq!(theirs.value.as_ref(), &value[..]);
                prop_assert_eq!(theirs.key.as_ref().map(|key| key.as_ref().to_vec()), key.clone());
                prop_assert_eq!(first_timestamp + theirs.timestamp_delta(), *timestamp);
            }
            prop_assert_eq!(read(&bytes).unwrap().into_iter().map(|record| record.1).collect::<Vec<_>>(), records.clone());
        }
    }

    #[test]
    fn what_the_official_crate_builds_is_read_here(records in proptest::collection::vec(plain(), 1..40)) {
        let numbered: Vec<_> = (0..).zip(records.clone()).collect();
        for compression in
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            prop_assert_eq!(&read(&Bytes::from(official_with(&records, compression))).unwrap(), &numbered);
        }
    }

    #[test]
    fn a_cut_anywhere_names_what_is_missing(records in proptest::collection::vec(plain(), 1..10), keep in 0_usize..4000) {
        let bytes = build(&records);
        let whole = Bytes::from([&bytes[..], &bytes[..]].concat());
        let keep = keep % whole.len();
        let mut batches = Vec::new();
        let remainder = split_batches(&whole.slice(..keep), &mut batches).unwrap();
        prop_assert_eq!(batches.len(), keep / bytes.len());
        let expected = match keep % bytes.len() {
            0 => Remainder::None,
            1..12 => Remainder::Unknown,
            _ => Remainder::Cut(bytes.len()),
        };
        prop_assert_eq!(remainder, expected);
    }

    #[test]
    fn hostile_bytes_give_errors(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&Bytes::from(bytes));
    }

    #[test]
    fn a_changed_byte_is_noticed(records in proptest::collection::vec(plain(), 1..10), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let bytes = build(&records);
        let mut changed = bytes.to_vec();
        let at = 17 + at.index(bytes.len() - 17);
        changed[at] ^= flip;
        prop_assert!(read(&Bytes::from(changed)).is_err());
    }

    #[test]
    fn records_with_a_right_checksum_but_wrong_lengths_give_errors(
        body in proptest::collection::vec(any::<u8>(), 0..200), count in any::<i32>(), last in any::<i32>()
    ) {
        let mut bytes = build(&[(0, None, vec![0])]).to_vec();
        bytes.truncate(HEADER_LEN);
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes[23..27].copy_from_slice(&last.to_be_bytes());
        let length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let mut batches = Vec::new();
        if split_batches(&Bytes::from(bytes), &mut batches).is_ok() {
            for batch in &batches {
                if let Ok(body) = batch.body(LIMIT)
                    && let Ok(records) = batch.records(&body)
                {
                    let _: Vec<_> = records.collect();
                }
            }
        }
    }
}

/// As servers store what SmartModules of producers have dropped, multiplied, or put together of several batches.
#[test]
fn offsets_need_not_rise() {
    let records: Vec<Plain> = (0..4).map(|number| (1000, None, vec![number])).collect();
    let offsets = |deltas: [i64; 4], last: i32| {
        let mut batch = official(&records);
        for (record, delta) in batch.mut_records().iter_mut().zip(deltas) {
            record.preamble.set_offset_delta(delta);
        }
        batch.header.last_offset_delta = last;
        let mut bytes = Vec::new();
        Batch::<RawRecords>::try_from(batch).unwrap().encode(&mut bytes, 0).unwrap();
        read(&Bytes::from(bytes)).map(|records| records.into_iter().map(|(offset, _)| offset).collect::<Vec<_>>())
    };
    for (deltas, last) in [([0, 0, 0, 0], 1), ([0, 1, 0, 1], 3), ([2, 4, 5, 7], 9), ([3, 2, 1, 0], 3)] {
        assert_eq!(offsets(deltas, last).unwrap(), deltas);
    }
    for deltas in [[0, 1, 2, 4], [-1, 0, 1, 2]] {
        let field = "a record's offset in its batch";
        assert!(matches!(offsets(deltas, 3).unwrap_err(), WireError::Invalid { field: wrong, .. } if wrong == field));
    }
}
