//! What holds for what is read of a log, whoever wrote it.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::assignment::Assignment;
use super::cursor::{AfterReply, Cursor};
use super::{Chunk, ChunkEncoder, RecordRef, Start};
use crate::error::ErrorKind;
use crate::sealing::{offset, sealed};

/// Writes the offset of each record.
struct Offsets;

impl ChunkEncoder for Offsets {
    fn encode(&self, _: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        records.iter().flat_map(|record| record.offset.to_be_bytes()).collect()
    }
}

fn offsets(chunk: &Chunk) -> Vec<i64> {
    chunk.payload.chunks_exact(8).map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap())).collect()
}

fn cursor(start: i64, fetch_bytes: u32) -> Cursor {
    let assigned = Assignment::new("t", 1, false).assign(&[0]).unwrap().remove(0);
    let mut cursor = Cursor::new(assigned, Start::At(start), fetch_bytes);
    cursor.go_on(start);
    cursor
}

/// A reply with batches of a log, the first byte says where reading begins, the second one how much was asked for: its
/// records from there on, or an error where it stands; never one twice, nor out of the range.
pub(crate) fn stream(data: &[u8]) {
    let Some((&[start, asked], bytes)) = data.split_first_chunk() else { return };
    let (start, bytes) = (offset(start), sealed(bytes));
    let mut cursor = cursor(start, u32::from(asked) << 4);
    let Ok((mut reply, after)) = cursor.split("t", &bytes) else { return };
    if let AfterReply::Acknowledge(next) = after {
        assert!(next > start);
    }
    let mut next = start;
    while !reply.is_decoded() {
        let mut chunks = Vec::new();
        let decoded = cursor.decode("t", &mut reply, &Offsets, &mut chunks);
        for chunk in &chunks {
            let (first, next, offsets) = (chunk.first_offset, chunk.next_offset, offsets(chunk));
            assert!(start <= first && first <= next);
            assert_eq!(offsets.len(), chunk.count as usize);
            assert!(offsets.iter().all(|offset| *offset >= start), "{offsets:?}");
            if !chunk.shares_offsets {
                assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:?}");
                assert!(offsets.iter().all(|offset| (first..next).contains(offset)), "{offsets:?}");
            }
        }
        assert!(cursor.next() >= next);
        next = cursor.next();
        if let Err(error) = decoded {
            assert_eq!((error.kind, error.offset), (ErrorKind::CorruptRecord, Some(next)));
            return;
        }
    }
    if let AfterReply::Acknowledge(next) = after {
        assert_eq!(cursor.next(), next);
    }
}

/// A reply of a chain of SmartModules, the first two bytes say where reading begins and where it goes on: records
/// within that range, or an error where it stands.
pub(crate) fn stamps(data: &[u8]) {
    let Some((&[start, next], bytes)) = data.split_first_chunk() else { return };
    let (start, next, bytes) = (offset(start), offset(next), sealed(bytes));
    let mut cursor = cursor(start, 1 << 20);
    cursor.gives_values = next & 1 == 1;
    let mut chunks = Vec::new();
    let outcome = cursor.split_made("t", &bytes, next).and_then(|mut reply| {
        while !reply.is_decoded() {
            cursor.decode("t", &mut reply, &Offsets, &mut chunks)?;
        }
        Ok(())
    });
    match outcome {
        Ok(()) => assert_eq!(cursor.next(), next),
        Err(error) => assert_eq!((error.offset, cursor.next()), (Some(start), start)),
    }
    for chunk in &chunks {
        assert!(chunk.first_offset >= start && chunk.next_offset <= next && chunk.first_offset <= chunk.next_offset);
        assert!(offsets(chunk).iter().all(|offset| *offset < next));
    }
}
