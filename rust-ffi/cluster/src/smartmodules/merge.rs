//! What comes out of a chain for the batches of a read or of a produced set: one batch, made as the real server makes
//! it.
//!
//! It begins where the first input batch with output begins, and has that one's codec, no times, and as last offset
//! delta what the input batches from there on cover. Records of later input batches get their offset deltas moved the
//! wrong way.

use std::io;

use bytes::BufMut;
use fluvio_compression::Compression;
use fluvio_protocol::record::BATCH_HEADER_SIZE;

use super::chain::{Chain, Input, Verdict};
use super::failure::Failure;
use super::habits::{Habit, Habits};
use super::records::{Block, COUNT, read_block};
use crate::log::batch;

/// The most bytes of records that are put together, whatever a client asks for: the length of a reply is an i32.
const MOST_BYTES: u64 = i32::MAX as u64 - (64 << 10);

/// How long the output may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(super) bytes: u64,
    /// Whether nothing may be left out: a longer output is a failure then.
    pub(super) is_hard: bool,
}

impl Limit {
    /// All of it, in one batch.
    pub(crate) const WHOLE: Self = Self { bytes: MOST_BYTES, is_hard: true };

    /// What a client takes in one reply; the next one goes on.
    pub(crate) fn of_reply(most_bytes: u32) -> Self {
        Self { bytes: MOST_BYTES.min(u64::from(most_bytes)), is_hard: false }
    }
}

/// A batch on its way into a chain.
#[derive(Debug)]
pub(crate) struct InputBatch {
    pub(crate) base_offset: i64,
    pub(crate) base_time: i64,
    pub(crate) last_offset_delta: i32,
    pub(crate) codec: Compression,
    /// Not compressed.
    pub(crate) block: Vec<u8>,
}

/// The batch that comes out.
#[derive(Debug)]
pub(crate) struct Merged {
    base_offset: Option<i64>,
    last_offset_delta: i32,
    codec: Compression,
    records: Block,
    /// The offset behind the last input batch that was looked at.
    pub(crate) read_to: Option<i64>,
}

impl Merged {
    fn new() -> Self {
        Self {
            base_offset: None,
            last_offset_delta: -1,
            codec: Compression::None,
            records: Block::new(),
            read_to: None,
        }
    }

    /// How far the offset deltas of a batch are moved.
    fn shift(&self, batch: &InputBatch, habits: Habits) -> i64 {
        let right = self.base_offset.map_or(0, |base| batch.base_offset.wrapping_sub(base));
        if habits.has(Habit::InventOffsets) { right.wrapping_neg() } else { right }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.count() == 0
    }

    /// The offset behind those that the batch covers.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset.unwrap_or(-1).wrapping_add(i64::from(self.last_offset_delta)).wrapping_add(1)
    }

    /// The batch as it goes over the wire and into the log.
    pub(crate) fn encode(mut self) -> io::Result<Vec<u8>> {
        let codec = self.codec;
        let records = self.records.bytes();
        let compressed = match codec {
            Compression::None => None,
            codec => Some(codec.compress(records).map_err(io::Error::other)?),
        };
        let records = compressed.as_deref().unwrap_or(records);
        let mut bytes = Vec::with_capacity(batch::HEADER + records.len());
        let length = i32::try_from(BATCH_HEADER_SIZE + records.len()).map_err(io::Error::other)?;
        bytes.put_i64(self.base_offset.unwrap_or(-1));
        bytes.put_i32(length);
        bytes.put_i32(-1);
        bytes.put_i8(2);
        bytes.put_u32(0);
        bytes.put_i16(codec as i16);
        bytes.put_i32(self.last_offset_delta);
        bytes.put_i64(-1);
        bytes.put_i64(-1);
        bytes.put_i64(-1);
        bytes.put_i16(-1);
        bytes.put_i32(-1);
        bytes.put_slice(records);
        batch::seal(&mut bytes, self.base_offset.unwrap_or(-1));
        Ok(bytes)
    }
}

/// Runs batches through a chain until they are at their end, a module complains, or the output would be longer than
/// the limit: the batch that is too much has been run by then, and is left out, if one may be.
pub(crate) fn process(
    chain: &mut Chain,
    batches: impl Iterator<Item = io::Result<InputBatch>>,
    limit: Limit,
    habits: Habits,
) -> Result<(Merged, Verdict), Failure> {
    let mut merged = Merged::new();
    let mut total = 0_u64;
    for batch in batches {
        chain.stop.check()?;
        let batch = batch.map_err(Failure::other)?;
        let before = merged.records.mark();
        let is_first = merged.is_empty();
        let shift = merged.shift(&batch, habits);
        let verdict = run(chain, &batch, &mut merged.records, shift)?;
        if merged.records.mark() != before {
            if merged.base_offset.is_none() {
                merged.base_offset = Some(batch.base_offset);
                merged.codec = batch.codec;
            }
            total += (merged.records.mark().0 - before.0 + COUNT) as u64;
            if total > limit.bytes && limit.is_hard {
                return Err(Failure::other(format!("output of more than {} bytes", limit.bytes)));
            }
            if total > limit.bytes && (!is_first || habits.has(Habit::SkipSegments)) {
                let made = merged.records.split_off(before);
                if habits.has(Habit::RunTwice) {
                    return Ok((merged, verdict));
                }
                chain.pending = Some((batch.base_offset, unshifted(made, shift)?, verdict));
                return Ok((merged, None));
            }
        }
        if merged.base_offset.is_some() {
            let covered = batch.last_offset_delta.wrapping_add(1);
            merged.last_offset_delta = merged.last_offset_delta.wrapping_add(covered);
        }
        merged.read_to = Some(batch.base_offset.saturating_add(i64::from(batch.last_offset_delta)).saturating_add(1));
        if verdict.is_some() {
            return Ok((merged, verdict));
        }
    }
    Ok((merged, None))
}

/// Runs a batch through the chain, unless it was run and is still there.
fn run(chain: &mut Chain, batch: &InputBatch, target: &mut Block, shift: i64) -> Result<Verdict, Failure> {
    if let Some((_, mut made, verdict)) = chain.pending.take().filter(|(base, ..)| *base == batch.base_offset) {
        read_block(made.bytes(), |record| target.push(record, shift)).map_err(Failure::other)?;
        return Ok(verdict);
    }
    let input = Input { base_offset: batch.base_offset, base_time: batch.base_time, block: &batch.block };
    chain.process(&input, target, shift)
}

fn unshifted(mut block: Block, shift: i64) -> Result<Block, Failure> {
    let mut before = Block::new();
    read_block(block.bytes(), |record| before.push(record, shift.wrapping_neg())).map_err(Failure::other)?;
    Ok(before)
}
