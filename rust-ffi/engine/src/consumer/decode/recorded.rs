//! What the real server sent of chains that the stamp closes, as it was recorded.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use fluvio_protocol::Decoder;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use proptest::prelude::*;

use super::super::assignment::Assignment;
use super::super::{Chunk, ChunkEncoder, RecordRef, Start};
use super::*;
use crate::replies::RecordBytes;
use crate::sealing::crc32c;

/// Writes offset, time and value of each record.
struct Lines;

impl ChunkEncoder for Lines {
    fn encode(&self, _partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        let line = |record: &RecordRef<'_>| {
            format!("{} {} {}\n", record.offset, record.timestamp, String::from_utf8_lossy(record.value)).into_bytes()
        };
        records.iter().flat_map(line).collect()
    }
}

fn hex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The replies of the streams whose notes hold `text`, in their order, by note.
fn replies(text: &str) -> Vec<(String, StreamFetchResponse<RecordBytes>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../cluster/tests/golden/sm-consume.jsonl");
    let mut notes = HashMap::new();
    let mut found = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let frame = hex(line["frame"].as_str().unwrap());
        let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        if line["from"] == "client" {
            notes.insert(
                (line["conn"].clone().to_string(), number(4)),
                line["note"].as_str().unwrap_or_default().to_owned(),
            );
        } else if let Some(note) = notes.get(&(line["conn"].to_string(), number(0))).filter(|note| note.contains(text))
        {
            let mut body = frame.slice(4..);
            found.push((note.clone(), StreamFetchResponse::decode_from(&mut body, 25).unwrap()));
        }
    }
    found
}

/// What the replies of one stream that begins at `start` become.
fn read(note: &str, start: i64) -> (Vec<String>, i64) {
    let assigned = Assignment::new("t", 1, false).assign(&[0]).unwrap().remove(0);
    let mut cursor = Cursor::new(assigned, Start::At(start), 1 << 20);
    cursor.go_on(start);
    let mut chunks: Vec<Chunk> = Vec::new();
    for (_, response) in replies(note).iter().filter(|(found, _)| found == note) {
        let part = &response.partition;
        let mut reply = cursor.split_made("t", &part.records.0, part.next_filter_offset).unwrap();
        while !reply.is_decoded() {
            cursor.decode("t", &mut reply, &Lines, &mut chunks).unwrap();
        }
    }
    let text: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.payload).collect();
    (String::from_utf8(text).unwrap().lines().map(str::to_owned).collect(), cursor.next())
}

#[test]
fn records_have_their_places() {
    let all = ["0 10000 xa", "5 20002 xf", "7 30001 xh"].map(str::to_owned);
    assert_eq!(read("the same, stamped, from 0", 0), (all.to_vec(), 9));
    assert_eq!(read("the same, stamped, from 4", 4), (all[1..].to_vec(), 9));
    assert_eq!(read("the same, stamped, from 8", 8).1, 9);
    assert_eq!(read("head 4, contains, stamp", 4), (all[1..].to_vec(), 9));
}

#[test]
fn every_stamped_reply_is_understood() {
    let notes: std::collections::BTreeSet<String> = replies("stamp").into_iter().map(|(note, _)| note).collect();
    assert!(notes.len() > 12, "{notes:?}");
    for note in notes {
        let (lines, next) = read(&note, 0);
        assert!(next > 0, "{note}");
        assert_eq!(lines.is_empty(), note.starts_with("drop"), "{note}: {lines:?}");
    }
}

#[test]
fn what_is_not_stamped_is_refused() {
    let (_, response) = replies("contains x from 0").remove(0);
    let assigned = Assignment::new("t", 1, false).assign(&[0]).unwrap().remove(0);
    let mut cursor = Cursor::new(assigned, Start::At(0), 1 << 20);
    let mut reply = cursor.split_made("t", &response.partition.records.0, 9).unwrap();
    let error = cursor.decode("t", &mut reply, &Lines, &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::SmartModule, Some(0)));
}

static STAMPED: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let replies = replies("stamp").into_iter().map(|(_, response)| response.partition.records.0);
    replies.filter(|bytes| bytes.len() > 61).collect()
});

/// A reply with some bytes exchanged, its checksum set right.
fn damaged(bytes: &[u8], changes: &[(prop::sample::Index, u8)]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    let checksum = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a server says that its modules have made: records within the range that it names, or an error.
    #[test]
    fn damaged_replies_are_an_error_or_records_in_their_range(
        which in any::<prop::sample::Index>(), next in -2_i64..40, start in 0_i64..10,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let bytes = &STAMPED[which.index(STAMPED.len())];
        check(&damaged(bytes, &changes), start, next);
    }

    #[test]
    fn noise_is_an_error_or_nothing(
        noise in proptest::collection::vec(any::<u8>(), 0..300), start in 0_i64..10, next in 0_i64..40,
    ) {
        check(&noise.into(), start, next);
    }
}

fn check(bytes: &Bytes, start: i64, next: i64) {
    let assigned = Assignment::new("t", 1, false).assign(&[0]).unwrap().remove(0);
    let mut cursor = Cursor::new(assigned, Start::At(start), 1 << 20);
    cursor.go_on(start);
    let mut chunks: Vec<Chunk> = Vec::new();
    let outcome = cursor.split_made("t", bytes, next).and_then(|mut reply| {
        while !reply.is_decoded() {
            cursor.decode("t", &mut reply, &Lines, &mut chunks)?;
        }
        Ok(())
    });
    match outcome {
        Ok(()) => assert_eq!(cursor.next(), next),
        Err(error) => {
            assert_eq!((error.kind, error.offset, cursor.next()), (ErrorKind::SmartModule, Some(start), start));
        }
    }
    for chunk in &chunks {
        assert!(chunk.first_offset >= start && chunk.next_offset <= next && chunk.first_offset <= chunk.next_offset);
        for line in String::from_utf8_lossy(&chunk.payload).lines() {
            if let Some(offset) = line.split(' ').next().and_then(|number| number.parse::<i64>().ok()) {
                assert!(offset < next || line.split(' ').count() < 3, "{line}");
            }
        }
    }
}
