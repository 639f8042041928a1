//! Where one partition is read, and how its replies become chunks without a gap and without a repeat.

use bytes::Bytes;
use fluvio_cffi_wire::{RawBatch, Remainder, WireError, split_batches};

use super::{Chunk, ChunkEncoder, RecordRef, Start};
use crate::error::{Error, ErrorKind, Result};

/// Records of one chunk, at most.
const CHUNK_RECORDS: usize = 1_000;
/// Bytes of keys and values of one chunk, at most, unless one record is larger.
const CHUNK_BYTES: usize = 256 << 10;

/// The position in one partition.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) partition: u32,
    /// How to find the first offset; `None` once it is known.
    pub(crate) start: Option<Start>,
    /// The offset expected next.
    pub(crate) next: i64,
    /// Reading ends here.
    pub(crate) end: Option<i64>,
    /// Bytes to ask for.
    pub(crate) fetch_bytes: u32,
    /// Set when a reply began beyond the expected offset and was asked for again.
    gap: bool,
}

/// What a reply asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Acknowledge the expected offset on the same stream.
    Acknowledge,
    /// Not one whole batch fits: open a stream that asks for more.
    Reopen,
}

/// The whole batches of a reply.
pub(crate) struct Reply {
    batches: Vec<RawBatch>,
    /// What comes after the reply.
    pub(crate) next: Next,
    /// The offset to acknowledge: everything before it is in the whole batches.
    pub(crate) after: i64,
    broken: Option<WireError>,
}

impl Cursor {
    pub(crate) fn new(partition: u32, start: Start, fetch_bytes: u32) -> Self {
        Self { partition, start: Some(start), next: 0, end: None, fetch_bytes, gap: false }
    }

    /// Fixes the start, now that the log's bounds are known. Nothing to do later on.
    pub(crate) fn resolve(&mut self, topic: &str, log_start: i64, log_end: i64, stop_at_end: bool) -> Result<bool> {
        let first = self.start.take();
        if let Some(start) = first {
            self.next = match start {
                Start::Beginning(after) => log_start.saturating_add_unsigned(after).min(log_end),
                Start::End(before) => log_end.saturating_sub_unsigned(before).max(log_start),
                Start::At(offset) if stop_at_end && offset > log_end => {
                    let text = format!("offset {offset} lies beyond the end of the log, {log_end}");
                    let error = Error::new(ErrorKind::OffsetOutOfRange, text).with_topic(topic);
                    return Err(error.with_partition(self.partition).with_offset(offset));
                }
                Start::At(offset) => offset,
            };
            self.end = stop_at_end.then_some(log_end);
        }
        if self.next < log_start {
            let text = format!("offset {} was removed by retention: the log begins at {log_start}", self.next);
            let mut error = Error::new(ErrorKind::OffsetEvicted, text);
            error.next_available = Some(log_start);
            return Err(error.with_topic(topic).with_partition(self.partition).with_offset(self.next));
        }
        Ok(first.is_some())
    }

    /// Whether the end was reached.
    pub(crate) fn finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Finds the whole batches of a reply and what to do next, before any of them is decoded, so that the server can
    /// go on meanwhile.
    pub(crate) fn split(&mut self, topic: &str, bytes: &Bytes) -> Result<Reply> {
        let mut batches = Vec::new();
        let remainder = split_batches(bytes, &mut batches);
        // The server sends the batch that holds the offset: what lies before it was seen.
        batches.retain(|batch| batch.header.next_offset() > self.next);
        let mut expected = self.next;
        for (index, batch) in batches.iter().enumerate() {
            let base = batch.header.base_offset;
            // The first batch may begin before the offset, never after it.
            if base > expected || (base < expected && index > 0) {
                if index > 0 {
                    batches.truncate(index);
                    break;
                }
                if std::mem::replace(&mut self.gap, true) {
                    let text = format!("offset {expected} is missing: the log goes on at {base}");
                    let error = Error::new(ErrorKind::Consumer, text).with_topic(topic);
                    return Err(error.with_partition(self.partition).with_offset(expected));
                }
                return Ok(Reply { batches: Vec::new(), next: Next::Acknowledge, after: expected, broken: None });
            }
            expected = batch.header.next_offset();
        }
        let mut next = Next::Acknowledge;
        let mut broken = None;
        match remainder {
            Ok(Remainder::Cut(length)) if batches.is_empty() => {
                self.fetch_bytes = u32::try_from(length).unwrap_or(u32::MAX).max(self.fetch_bytes);
                next = Next::Reopen;
            }
            Ok(Remainder::Unknown) if batches.is_empty() => {
                self.fetch_bytes = self.fetch_bytes.saturating_mul(2).max(4096);
                next = Next::Reopen;
            }
            Ok(_) => {}
            Err(cause) => broken = Some(cause),
        }
        if !batches.is_empty() {
            self.gap = false;
        }
        Ok(Reply { batches, next, after: expected, broken })
    }

    /// Decodes a reply into chunks. On an error `chunks` holds what comes before it, and the cursor stands at it.
    pub(crate) fn decode(
        &mut self,
        topic: &str,
        reply: &Reply,
        encoder: &dyn ChunkEncoder,
        chunks: &mut Vec<Chunk>,
    ) -> Result<()> {
        let mut records = Vec::with_capacity(CHUNK_RECORDS);
        let mut bytes = 0;
        let mut outcome = Ok(());
        // Where the records of the chunk under construction end in the log.
        let mut position = self.next;
        'batches: for batch in &reply.batches {
            let (next, end) = (self.next, self.end.unwrap_or(i64::MAX));
            let walk = walk(batch, |record| {
                if record.offset < next || record.offset >= end {
                    return;
                }
                let size = record.key.map_or(0, <[u8]>::len) + record.value.len();
                if records.len() == CHUNK_RECORDS || (bytes + size > CHUNK_BYTES && !records.is_empty()) {
                    chunks.push(chunk(self.partition, &records, position, encoder));
                    records.clear();
                    bytes = 0;
                }
                bytes += size;
                position = record.offset + 1;
                records.push(record);
            });
            if let Err(error) = walk {
                outcome = Err(error.with_topic(topic).with_partition(self.partition).with_offset(position));
                break 'batches;
            }
            // Holes at the end of a batch are passed, but a stop at the end is exact.
            position = batch.header.next_offset();
        }
        if !records.is_empty() {
            chunks.push(chunk(self.partition, &records, position, encoder));
        }
        self.next = position;
        if let (Ok(()), Some(cause)) = (&outcome, reply.broken) {
            outcome = Err(corrupt(&cause).with_topic(topic).with_partition(self.partition).with_offset(self.next));
        }
        outcome
    }
}

/// Calls `each` with the records of a batch, after its checksum and codec were checked.
fn walk<'a>(batch: &'a RawBatch, mut each: impl FnMut(RecordRef<'a>)) -> Result<()> {
    let header = &batch.header;
    if header.codec() != 0 {
        let text = format!("a batch is compressed with codec {}, which this version does not read yet", header.codec());
        return Err(Error::new(ErrorKind::Compression, text));
    }
    batch.check_crc().map_err(|cause| corrupt(&cause))?;
    for record in batch.records().map_err(|cause| corrupt(&cause))? {
        let record = record.map_err(|cause| corrupt(&cause))?;
        let timestamp = match header.first_timestamp {
            none if none < 0 => -1,
            first => first.saturating_add(record.timestamp_delta),
        };
        each(RecordRef {
            offset: header.base_offset + record.offset_delta,
            timestamp,
            key: record.key,
            value: record.value,
        });
    }
    Ok(())
}

fn corrupt(cause: &WireError) -> Error {
    Error::new(ErrorKind::CorruptRecord, format!("the log holds bytes that are no valid batch: {cause}"))
}

fn chunk(partition: u32, records: &[RecordRef<'_>], next_offset: i64, encoder: &dyn ChunkEncoder) -> Chunk {
    let bytes = records.iter().map(|record| record.key.map_or(0, <[u8]>::len) + record.value.len()).sum::<usize>();
    Chunk {
        partition,
        count: records.len() as u32,
        first_offset: records.first().map_or(next_offset, |first| first.offset),
        next_offset,
        bytes: bytes as u64,
        payload: encoder.encode(records),
    }
}
