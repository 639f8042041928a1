//! The records that a module sees before its first batch: read as the real server reads them, one segment and one offset
//! too low included.

use std::time::{SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_smartmodule::dataplane::smartmodule::Lookback;
use fluvio_spu_schema::Isolation;

use super::Replica;
use super::replica::Extent;
use crate::log::{Found, Slice};
use crate::smartmodules::{Block, Failure, FileBatches, read_block};

/// Appends the records that `lookback` asks for, with deltas as they are in their batches.
pub(super) fn read(replica: &Replica, lookback: &Lookback, target: &mut Block) -> Result<(), Failure> {
    let Some(age) = lookback.age else {
        return last(replica, lookback.last, i64::MIN, target);
    };
    let age = i64::try_from(age.as_millis()).map_err(Failure::other)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::other)?;
    let now = i64::try_from(now.as_millis()).map_err(Failure::other)?;
    let not_before = now.checked_sub(age).ok_or_else(|| Failure::other("timestamp overflow"))?;
    if lookback.last > 0 { last(replica, lookback.last, not_before, target) } else { young(replica, not_before, target) }
}

/// What is committed from an offset on, to the end of its segment.
fn find(replica: &Replica, offset: i64) -> Result<Option<Slice>, Failure> {
    let (found, Extent { start, end, .. }) =
        replica.find(offset, u32::MAX, Isolation::ReadCommitted).map_err(Failure::other)?;
    match found {
        Found::Slice(slice) => Ok(Some(slice)),
        Found::End => Ok(None),
        Found::Evicted => Err(Failure::other(ErrorCode::OffsetEvicted { offset, next_available: start })),
        Found::Beyond => Err(Failure::other(format!("start offset: {offset} is greater than leo: {end}"))),
    }
}

/// Appends the records of the batches that are at or behind an offset and not too old.
fn push(mut batches: FileBatches, count: usize, from: i64, not_before: i64, target: &mut Block) -> Result<(), Failure> {
    for batch in batches.by_ref().take(count) {
        let batch = batch.map_err(Failure::other)?;
        let each = read_block(&batch.block, |record| {
            let offset = batch.base_offset.saturating_add(record.offset_delta);
            if offset >= from && batch.base_time.saturating_add(record.time_delta) >= not_before {
                target.push(record, 0);
            }
        });
        each.map_err(Failure::other)?;
    }
    Ok(())
}

fn last(replica: &Replica, count: u64, not_before: i64, target: &mut Block) -> Result<(), Failure> {
    let count = i64::try_from(count).map_err(Failure::other)?;
    let Extent { start, committed, .. } = replica.extent();
    let offset = (committed - count).max(0).min(committed).max(start);
    match find(replica, offset)? {
        Some(slice) => push(FileBatches::new(slice), usize::MAX, offset, not_before, target),
        None => Ok(()),
    }
}

/// Goes back from the end, batch by batch, as long as they are young enough.
fn young(replica: &Replica, not_before: i64, target: &mut Block) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut offset = replica.extent().committed - 1;
    while offset >= 0 {
        let Some(slice) = find(replica, offset - 1)? else { break };
        let mut batches = FileBatches::new(slice);
        let Some(header) = batches.header() else { break };
        let header = header.map_err(Failure::other)?;
        if header.last_time < not_before {
            break;
        }
        offset = header.base - 1;
        found.push(batches);
    }
    found.into_iter().rev().try_for_each(|batches| push(batches, 1, i64::MIN, not_before, target))
}
