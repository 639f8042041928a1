//! How the batches of a reply become chunks of records.

mod made;
mod uneven;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use fluvio_cffi_wire::{Codec, RawBatch, WireError};

use super::cursor::Cursor;
use super::{Chunk, ChunkEncoder, ChunkSize, RecordRef};
use crate::error::{Error, ErrorKind, Result};
use made::Unstamped;
use uneven::Uneven;

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
    /// The batches are in no log, but were made by SmartModules: reading goes on here behind them.
    made_to: Option<i64>,
}

/// The batches that are decoded in one go, unpacked, and the place before them.
struct Step<'a> {
    batches: &'a [RawBatch],
    bodies: &'a [std::result::Result<Cow<'a, [u8]>, WireError>],
    encoder: &'a dyn ChunkEncoder,
}

/// How far a step was walked over, and why no further.
struct Walked {
    next: i64,
    broken: Option<WireError>,
    /// Whether there are offsets that do not rise: the chunks are to be made otherwise.
    is_uneven: bool,
}

impl Reply {
    pub(super) fn new(batches: Vec<RawBatch>, broken: Option<WireError>) -> Self {
        Self { batches: batches.into(), broken, made_to: None }
    }

    /// What a chain of SmartModules made of all up to offset `next`.
    pub(super) fn made(batches: Vec<RawBatch>, next: i64) -> Self {
        Self { batches: batches.into(), broken: None, made_to: Some(next) }
    }

    /// Whether decoding takes more memory than the reply itself.
    pub(super) fn grows(&self) -> bool {
        self.batches.iter().any(|batch| batch.header.codec() != Ok(Codec::None))
    }

    /// Whether nothing is left to decode.
    pub(super) fn is_decoded(&self) -> bool {
        self.batches.is_empty() && self.broken.is_none()
    }

    /// Takes the batches that are decoded in one go: a compressed one alone, else plain ones up to [`STEP_BYTES`]; of
    /// what SmartModules made, which is one batch as a rule, all.
    fn step(&mut self) -> Vec<RawBatch> {
        let mut bytes = 0;
        let fits = |batch: &&RawBatch| {
            bytes += batch.size();
            batch.header.codec() == Ok(Codec::None) && bytes <= STEP_BYTES
        };
        let count = match self.made_to {
            Some(_) => self.batches.len(),
            None => self.batches.iter().take_while(fits).count(),
        };
        self.batches.drain(..count.max(1).min(self.batches.len())).collect()
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
        let step = Step { batches: &batches, bodies: &bodies, encoder };
        if let Some(next) = reply.made_to {
            return self.decode_made(&step, next, chunks).map_err(|cause| self.unstamped(topic, cause));
        }
        let mut walked = match self.place.skip {
            0 => self.walk(&step, chunks),
            _ => Walked { next: self.next(), broken: None, is_uneven: true },
        };
        if walked.is_uneven {
            chunks.clear();
            walked = self.walk_uneven(&step, chunks);
        }
        if walked.next > self.next() {
            self.go_on(walked.next);
        }
        let broken = walked.broken.or_else(|| reply.broken.take_if(|_| reply.batches.is_empty()));
        broken.map_or(Ok(()), |cause| Err(self.corrupt(topic, cause)))
    }

    /// Makes chunks of batches as they usually are: their offsets rise.
    fn walk(&self, step: &Step<'_>, chunks: &mut Vec<Chunk>) -> Walked {
        let most = step.encoder.chunk_size();
        let mut records = Vec::with_capacity(ChunkSize::default().records);
        let mut bytes = 0;
        let mut broken = None;
        let mut is_uneven = false;
        // Where the records of the chunk under construction end in the log.
        let mut position = self.next();
        let (next, end) = (position, self.end.unwrap_or(i64::MAX));
        for (batch, body) in step.batches.iter().zip(step.bodies) {
            let walked = body.as_ref().map_err(|cause| *cause).and_then(|body| {
                walk(batch, body, |record| {
                    if record.offset < position || record.offset >= end {
                        // Before the start, or behind the end; or it does not rise.
                        is_uneven |= record.offset >= next && record.offset < position;
                        return;
                    }
                    let size = record.key.map_or(0, <[u8]>::len) + record.value.len();
                    if records.len() == most.records || (bytes + size > most.bytes && !records.is_empty()) {
                        chunks.push(chunk_of(self.partition, &records, position, step.encoder));
                        records.clear();
                        bytes = 0;
                    }
                    bytes += size;
                    position = record.offset + 1;
                    records.push(record);
                })
            });
            if let Err(cause) = walked {
                broken = Some(cause);
                break;
            }
            // A batch may end with holes: the next one follows them. What lies behind the end is not read.
            position = batch.header.next_offset().min(end).max(position);
        }
        if !records.is_empty() {
            chunks.push(chunk_of(self.partition, &records, position, step.encoder));
        }
        Walked { next: position, broken, is_uneven }
    }

    /// Makes chunks of batches in which several records share an offset, or offsets fall. SmartModules of producers have
    /// them stored so.
    fn walk_uneven(&self, step: &Step<'_>, chunks: &mut Vec<Chunk>) -> Walked {
        let mut place = self.place.clone();
        let end = self.end.unwrap_or(i64::MAX);
        for (batch, body) in step.batches.iter().zip(step.bodies) {
            let mut records = Vec::new();
            let walked = body.as_ref().map_err(|cause| *cause).and_then(|body| {
                walk(batch, body, |record| {
                    if record.offset >= place.offset && record.offset < end {
                        records.push(record);
                    }
                })
            });
            // What comes before the damage cannot be placed: what follows may have smaller offsets.
            if let Err(broken) = walked {
                return Walked { next: place.offset, broken: Some(broken), is_uneven: true };
            }
            let next = batch.header.next_offset().min(end).max(place.offset);
            let has_values = false;
            Uneven { partition: self.partition, place: &place, records: &records, end: next, has_values }
                .chunks(step.encoder, chunks);
            place = super::place::Place { offset: next, ..Default::default() };
        }
        Walked { next: place.offset, broken: None, is_uneven: true }
    }

    /// Makes chunks of what a chain made of all up to offset `next`.
    fn decode_made(&mut self, step: &Step<'_>, next: i64, chunks: &mut Vec<Chunk>) -> MadeResult<()> {
        let mut records = Vec::new();
        for body in step.bodies {
            made::append(body.as_ref().map_err(|cause| Unstamped::Damaged(*cause))?, &mut records)?;
        }
        self.note_made(step.bodies.iter().flatten().map(|body| body.len()).sum());
        if let Some(wrong) = records.iter().find(|record| record.offset < 0 || record.offset >= next) {
            let field = "the offset of a record that SmartModules made";
            return Err(Unstamped::Damaged(WireError::Invalid { field, value: wrong.offset }));
        }
        let end = self.end.unwrap_or(i64::MAX);
        records.retain(|record| record.offset < end);
        // What lies behind the end is not read; the head has dropped what lies behind `to`.
        let next = self.range().0.to.map_or(next, |to| next.min(to)).min(end).max(self.next());
        let (partition, has_values) = (self.partition, self.gives_values);
        Uneven { partition, place: &self.place, records: &records, end: next, has_values }.chunks(step.encoder, chunks);
        let value = match records.last() {
            Some(last) if has_values => Some(Arc::from(last.value)),
            _ => self.place.value.take(),
        };
        self.go_on(next);
        self.place.value = value;
        Ok(())
    }

    fn corrupt(&self, topic: &str, cause: WireError) -> Error {
        let next = self.next();
        let error = match cause {
            WireError::Memory(_) => Error::no_memory(cause.to_string()),
            _ => {
                let text = format!(
                    "the log holds bytes at offset {next} that are no valid batch: {cause}; seek behind them to go on"
                );
                Error::new(ErrorKind::CorruptRecord, text)
            }
        };
        error.with_topic(topic).with_partition(self.partition).with_offset(next)
    }

    fn unstamped(&self, topic: &str, cause: Unstamped) -> Error {
        let error = match cause {
            Unstamped::Damaged(WireError::Memory(what)) => Error::no_memory(WireError::Memory(what).to_string()),
            Unstamped::Damaged(cause) => {
                let text = format!("the SPU's reply is not what SmartModules make: {cause}");
                Error::new(ErrorKind::SmartModule, text)
            }
            Unstamped::Record => {
                let text = "the SPU has sent records that passed through no SmartModule: it is built without the \
                            engine that runs them; use another SPU, or no smartmodules";
                Error::new(ErrorKind::SmartModule, text)
            }
        };
        error.with_topic(topic).with_partition(self.partition).with_offset(self.next())
    }
}

type MadeResult<T> = std::result::Result<T, Unstamped>;

/// The body of a batch, unpacked, after its checksum was compared.
pub(super) fn body(batch: &RawBatch) -> std::result::Result<Cow<'_, [u8]>, WireError> {
    batch.check_crc()?;
    batch.body(MOST_UNPACKED)
}

/// Calls `each` with the records of a batch.
pub(super) fn walk<'a>(
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

/// A chunk of records whose offsets rise.
fn chunk_of(partition: u32, records: &[RecordRef<'_>], next_offset: i64, encoder: &dyn ChunkEncoder) -> Chunk {
    chunk(partition, records, records.first().map_or(next_offset, |first| first.offset), next_offset, encoder)
}

fn chunk(
    partition: u32,
    records: &[RecordRef<'_>],
    first_offset: i64,
    next_offset: i64,
    encoder: &dyn ChunkEncoder,
) -> Chunk {
    let bytes = records.iter().map(|record| record.key.map_or(0, <[u8]>::len) + record.value.len()).sum::<usize>();
    Chunk {
        partition,
        count: records.len() as u32,
        first_offset,
        next_offset,
        bytes: bytes as u64,
        payload: encoder.encode(partition, records),
        seeks: 0,
        shares_offsets: false,
        epoch: None,
        skip: 0,
        value: None,
    }
}

#[cfg(test)]
mod recorded;
