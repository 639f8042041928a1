//! How the batches of a reply become chunks of records.

use std::borrow::Cow;
use std::collections::VecDeque;

use fluvio_cffi_wire::{Codec, RawBatch, WireError};

use super::cursor::Cursor;
use super::{Chunk, ChunkEncoder, RecordRef};
use crate::error::{Error, ErrorKind, Result};

/// Records of one chunk, at most.
const CHUNK_RECORDS: usize = 1_000;
/// Bytes of keys and values of one chunk, at most, unless one record is larger.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of batches that are decoded in one go, at most, unless one batch is larger.
const STEP_BYTES: usize = 1 << 20;
/// Bytes that one batch may unpack to. The server takes no batch of more than 32 MiB.
const MOST_UNPACKED: usize = 128 << 20;

/// The whole batches of a reply that are not decoded yet.
#[derive(Default)]
pub(super) struct Reply {
    batches: VecDeque<RawBatch>,
    /// What is wrong with the bytes after the whole batches.
    broken: Option<WireError>,
}

impl Reply {
    pub(super) fn new(batches: Vec<RawBatch>, broken: Option<WireError>) -> Self {
        Self { batches: batches.into(), broken }
    }

    /// Whether decoding takes more memory than the reply itself.
    pub(super) fn grows(&self) -> bool {
        self.batches.iter().any(|batch| batch.header.codec() != Ok(Codec::None))
    }

    /// Whether nothing is left to decode.
    pub(super) fn is_decoded(&self) -> bool {
        self.batches.is_empty() && self.broken.is_none()
    }

    /// Takes the batches that are decoded in one go: a compressed one alone, else plain ones up to [`STEP_BYTES`].
    fn step(&mut self) -> Vec<RawBatch> {
        let mut bytes = 0;
        let fits = |batch: &&RawBatch| {
            bytes += batch.size();
            batch.header.codec() == Ok(Codec::None) && bytes <= STEP_BYTES
        };
        let plain = self.batches.iter().take_while(fits).count();
        self.batches.drain(..plain.max(1).min(self.batches.len())).collect()
    }
}

impl Cursor {
    /// Decodes the next batches of a reply into chunks. On an error `chunks` holds what comes before it, and the cursor
    /// stands at it.
    pub(super) fn decode(
        &mut self,
        topic: &str,
        reply: &mut Reply,
        encoder: &dyn ChunkEncoder,
        chunks: &mut Vec<Chunk>,
    ) -> Result<()> {
        let batches = reply.step();
        // The bodies outlive the records that point into them.
        let bodies: Vec<_> = batches.iter().map(body).collect();
        let mut records = Vec::with_capacity(CHUNK_RECORDS);
        let mut bytes = 0;
        let mut outcome = Ok(());
        // Where the records of the chunk under construction end in the log.
        let mut position = self.next;
        let (next, end) = (self.next, self.end.unwrap_or(i64::MAX));
        for (batch, body) in batches.iter().zip(&bodies) {
            let walked = body.as_ref().map_err(|cause| *cause).and_then(|body| {
                walk(batch, body, |record| {
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
                })
            });
            if let Err(cause) = walked {
                outcome = Err(cause);
                break;
            }
            // A batch may end with holes: the next one follows them.
            position = batch.header.next_offset();
        }
        if !records.is_empty() {
            chunks.push(chunk(self.partition, &records, position, encoder));
        }
        self.next = position;
        if outcome.is_ok()
            && reply.batches.is_empty()
            && let Some(cause) = reply.broken.take()
        {
            outcome = Err(cause);
        }
        outcome.map_err(|cause| {
            let error = match cause {
                WireError::Memory(_) => Error::no_memory(cause.to_string()),
                _ => {
                    let text = format!(
                        "the log holds bytes at offset {} that are no valid batch: {cause}; seek behind them to go on",
                        self.next
                    );
                    Error::new(ErrorKind::CorruptRecord, text)
                }
            };
            let error = error.with_topic(topic);
            error.with_partition(self.partition).with_offset(self.next)
        })
    }
}

/// The body of a batch, unpacked, after its checksum was compared.
fn body(batch: &RawBatch) -> std::result::Result<Cow<'_, [u8]>, WireError> {
    batch.check_crc()?;
    batch.body(MOST_UNPACKED)
}

/// Calls `each` with the records of a batch.
fn walk<'a>(
    batch: &RawBatch,
    body: &'a [u8],
    mut each: impl FnMut(RecordRef<'a>),
) -> std::result::Result<(), WireError> {
    let header = &batch.header;
    for record in batch.records(body)? {
        let record = record?;
        let timestamp = match header.first_timestamp {
            none if none < 0 => -1,
            first => first.saturating_add(record.timestamp_delta),
        };
        let offset = header.base_offset.saturating_add(record.offset_delta);
        each(RecordRef { offset, timestamp, key: record.key, value: record.value });
    }
    Ok(())
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
        seeks: 0,
    }
}
