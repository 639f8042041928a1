//! Where one partition is read, and how its replies become chunks without a gap and without a repeat.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use fluvio_cffi_wire::{Codec, RawBatch, Remainder, WireError, split_batches};

use super::{Chunk, ChunkEncoder, ConsumerOptions, RecordRef, Start};
use crate::error::{Error, ErrorKind, Result};

/// Records of one chunk, at most.
const CHUNK_RECORDS: usize = 1_000;
/// Bytes of keys and values of one chunk, at most, unless one record is larger.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of batches that are decoded in one go, at most, unless one batch is larger.
const STEP_BYTES: usize = 1 << 20;
/// Bytes that one batch may unpack to. The server takes no batch of more than 32 MiB.
const MOST_UNPACKED: usize = 128 << 20;

/// The position in one partition.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) partition: u32,
    /// Which of the caller's seeks it follows.
    pub(crate) epoch: u64,
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

/// The bounds of a partition's log.
pub(crate) struct Log<'a> {
    pub(crate) topic: &'a str,
    /// The first offset that exists.
    pub(crate) start: i64,
    /// The offset after the last.
    pub(crate) end: i64,
}

/// How it goes on after a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// On the same stream, at this offset: that after the last record of the reply.
    Acknowledge(i64),
    /// On a new stream: not one whole batch fits, and it must ask for more, or nothing in the reply is wanted. The offset at
    /// which the stream stands is not acknowledged once more: the server can lose the second of two equal ones.
    Reopen,
    /// Not at all: the log is broken behind what is whole.
    Stop,
}

/// The whole batches of a reply.
pub(crate) struct Reply {
    batches: VecDeque<RawBatch>,
    /// How it goes on.
    pub(crate) next: Next,
    /// What is wrong with the bytes after the whole batches.
    broken: Option<WireError>,
}

impl Reply {
    /// Whether decoding takes more memory than the reply itself.
    pub(crate) fn grows(&self) -> bool {
        self.batches.iter().any(|batch| batch.header.codec() != Ok(Codec::None))
    }

    /// Whether there is more to decode.
    pub(crate) fn is_decoded(&self) -> bool {
        self.batches.is_empty() && self.broken.is_none()
    }

    /// The batches that are decoded in one go: one that is compressed, or those up to the next one that is, as far as
    /// they are not too many.
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
    pub(crate) fn new(partition: u32, start: Start, fetch_bytes: u32) -> Self {
        Self { partition, epoch: 0, start: Some(start), next: 0, end: None, fetch_bytes, gap: false }
    }

    /// Goes on elsewhere. The end stays the one that was seen first.
    pub(crate) fn restart(&mut self, start: Start) {
        self.start = Some(start);
        self.gap = false;
    }

    /// Fixes the start, if it is not known yet, now that the log's bounds are; true if it was not.
    pub(crate) fn resolve(&mut self, log: &Log, options: &ConsumerOptions) -> Result<bool> {
        let Log { topic, start: log_start, end: log_end } = *log;
        let error = |kind, offset, text: String| {
            Error::new(kind, text).with_topic(topic).with_partition(self.partition).with_offset(offset)
        };
        let end = if options.stop_at_end { self.end.or(Some(log_end)) } else { None };
        let resumes = self.start.is_none();
        let mut next = match self.start {
            None => self.next,
            Some(Start::Beginning(after)) => log_start.saturating_add_unsigned(after).min(log_end),
            Some(Start::End(before)) => log_end.saturating_sub_unsigned(before).max(log_start),
            Some(Start::At(offset) | Start::Stored(offset)) => offset,
        };
        let what = match self.start {
            Some(Start::Stored(_)) => format!("offset {next}, which follows the stored one,"),
            _ => format!("offset {next}"),
        };
        // Without an end to read to, and after a lost connection, when the replicas may be behind, the stream tells.
        if next > log_end && end.is_some() && !resumes {
            let text = format!(
                "{what} lies beyond the end of the log, {log_end}: seek to one that exists, or reset the stored offset"
            );
            return Err(error(ErrorKind::OffsetOutOfRange, next, text));
        }
        if next < log_start {
            if !options.skip_evicted {
                let text = format!(
                    "{what} was removed by retention: the log begins at {log_start}; seek there, or open with skip_evicted"
                );
                let mut error = error(ErrorKind::OffsetEvicted, next, text);
                error.next_available = Some(log_start);
                return Err(error);
            }
            next = log_start;
        }
        self.start = None;
        self.next = next;
        self.end = end;
        Ok(!resumes)
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
                    let text = format!(
                        "offset {expected} is missing: the log goes on at {base}; seek there to go on without what is lost"
                    );
                    let error = Error::new(ErrorKind::Consumer, text).with_topic(topic);
                    return Err(error.with_partition(self.partition).with_offset(expected));
                }
                return Ok(Reply { batches: VecDeque::new(), next: Next::Reopen, broken: None });
            }
            expected = batch.header.next_offset();
        }
        if !batches.is_empty() {
            self.gap = false;
        }
        let mut broken = None;
        let next = match remainder {
            Err(cause) => {
                broken = Some(cause);
                Next::Stop
            }
            Ok(_) if !batches.is_empty() => Next::Acknowledge(expected),
            Ok(Remainder::Cut(length)) => {
                self.fetch_bytes = u32::try_from(length).unwrap_or(u32::MAX).max(self.fetch_bytes);
                Next::Reopen
            }
            Ok(Remainder::Unknown) => {
                self.fetch_bytes = self.fetch_bytes.saturating_mul(2).max(4096);
                Next::Reopen
            }
            Ok(_) => Next::Reopen,
        };
        Ok(Reply { batches: batches.into(), next, broken })
    }

    /// Decodes the next batches of a reply into chunks. On an error `chunks` holds what comes before it, and the cursor
    /// stands at it.
    pub(crate) fn decode(
        &mut self,
        topic: &str,
        reply: &mut Reply,
        encoder: &dyn ChunkEncoder,
        chunks: &mut Vec<Chunk>,
    ) -> Result<()> {
        let batches = reply.step();
        // Bodies outlive the records that point into them.
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
            // Holes at the end of a batch are passed.
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
