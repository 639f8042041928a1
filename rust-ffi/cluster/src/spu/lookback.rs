//! The records that a module sees before its first batch: read as the real server reads them, one segment and one
//! offset too low included.

#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_smartmodule::dataplane::smartmodule::Lookback;
use fluvio_spu_schema::Isolation;

use super::Replica;
use super::replica::Extent;
use crate::log::Found;
use crate::smartmodules::{Block, Failure, FileBatches, Habit, Habits, Stop, read_block, read_header};

/// Appends the records that `lookback` asks for, with deltas as they are in their batches.
pub(super) fn read(
    replica: &Replica,
    lookback: &Lookback,
    habits: Habits,
    stop: &Stop,
    target: &mut Block,
) -> Result<(), Failure> {
    let mut reader = Reader { replica, short: habits.has(Habit::ShortLookback), not_before: i64::MIN, stop, target };
    let Some(age) = lookback.age else { return reader.last(lookback.last) };
    let age = i64::try_from(age.as_millis()).map_err(Failure::other)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::other)?;
    let now = i64::try_from(now.as_millis()).map_err(Failure::other)?;
    reader.not_before = now.checked_sub(age).ok_or_else(|| Failure::other("timestamp overflow"))?;
    if lookback.last > 0 { reader.last(lookback.last) } else { reader.young() }
}

/// Reads what is not too old.
struct Reader<'a> {
    replica: &'a Replica,
    /// Whether it ends with the first segment.
    short: bool,
    not_before: i64,
    stop: &'a Stop,
    target: &'a mut Block,
}

impl Reader<'_> {
    /// What is committed from an offset on, to the end of its segment, and the first offset that there is.
    fn find(&self, offset: i64) -> Result<(Found, i64), Failure> {
        self.stop.check()?;
        let (found, Extent { start, end, .. }) =
            self.replica.find(offset, u32::MAX, Isolation::ReadCommitted).map_err(Failure::other)?;
        match found {
            Found::Beyond => Err(Failure::other(format!("start offset: {offset} is greater than leo: {end}"))),
            found => Ok((found, start)),
        }
    }

    /// Appends the records of the batches that are at or behind an offset and not too old; the offset behind the last
    /// batch.
    fn push(&mut self, batches: FileBatches, from: i64) -> Result<i64, Failure> {
        let mut end = from;
        for batch in batches {
            self.stop.check()?;
            let batch = batch.map_err(Failure::other)?;
            let each = read_block(&batch.block, |record| {
                let offset = batch.base_offset.saturating_add(record.offset_delta);
                if offset >= from && batch.base_time.saturating_add(record.time_delta) >= self.not_before {
                    self.target.push(record, 0);
                }
            });
            each.map_err(Failure::other)?;
            end = batch.base_offset.saturating_add(i64::from(batch.last_offset_delta)).saturating_add(1);
        }
        Ok(end)
    }

    fn last(&mut self, count: u64) -> Result<(), Failure> {
        let count = i64::try_from(count).map_err(Failure::other)?;
        let Extent { start, committed, .. } = self.replica.extent();
        self.from((committed - count).max(0).min(committed).max(start))
    }

    fn from(&mut self, mut offset: i64) -> Result<(), Failure> {
        loop {
            offset = match self.find(offset)? {
                (Found::Slice(slice), _) => match self.push(FileBatches::new(slice), offset)? {
                    end if self.short || end <= offset => return Ok(()),
                    end => end,
                },
                // Retention was faster.
                (Found::Evicted, start) => start,
                _ => return Ok(()),
            }
        }
    }

    /// Goes back from the end, batch by batch, as long as they are young enough.
    fn young(&mut self) -> Result<(), Failure> {
        let mut found = Vec::new();
        let Extent { start, committed, .. } = self.replica.extent();
        let first = if self.short { 0 } else { start };
        let mut offset = committed - 1;
        while offset >= first {
            let sought = if self.short { offset - 1 } else { offset };
            let slice = match self.find(sought)? {
                (Found::Slice(slice), _) => slice,
                // As on the real server.
                (Found::Evicted, start) if self.short => {
                    let evicted = ErrorCode::OffsetEvicted { offset: sought, next_available: start };
                    return Err(Failure::other(evicted));
                }
                _ => break,
            };
            let header = read_header(&slice).map_err(Failure::other)?;
            if header.last_time < self.not_before {
                break;
            }
            offset = header.base - 1;
            found.push(sought);
        }
        found.reverse();
        self.batches(&found)
    }

    /// Appends the records of the batches that contain these offsets, as far as they are still there.
    fn batches(&mut self, offsets: &[i64]) -> Result<(), Failure> {
        for &offset in offsets {
            if let (Found::Slice(mut slice), _) = self.find(offset)? {
                // Only the first batch is wanted.
                let size = read_header(&slice).map_err(Failure::other)?.size().unwrap_or(slice.length);
                slice.length = slice.length.min(size);
                self.push(FileBatches::new(slice), i64::MIN)?;
            }
        }
        Ok(())
    }
}
